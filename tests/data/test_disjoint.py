from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from evalsuite.data import Examples, check_disjoint, shared
from evalsuite.data._photos import Photos
from evalsuite.errors import UsageError


def pictures(values: list[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 3, 3)


def test_the_same_pixels_are_found_whatever_the_label_and_the_type() -> None:
    train = Examples.from_labels(pictures([1, 2, 3]), torch.tensor([0, 0, 0]))
    test = Examples.from_labels(pictures([9, 3, 8, 1]).float() / 255, torch.tensor([1, 1, 1, 1]))
    assert shared(train, test).tolist() == [1, 3]
    with pytest.raises(UsageError, match=r"got 2 that are \(at positions 1, 3\)"):
        check_disjoint(train, test)


def test_only_examples_count_not_what_else_lies_in_the_same_tensor() -> None:
    everything = Examples.from_labels(pictures([1, 2, 3, 4]), torch.zeros(4))
    train, test = everything.select([0, 1]), everything.select([2, 3])
    assert shared(train, test).tolist() == []
    check_disjoint(train, test)
    assert shared(train, everything).tolist() == [0, 1]


def test_many_positions_are_cut_short() -> None:
    examples = Examples.from_labels(pictures(list(range(8))), torch.zeros(8))
    with pytest.raises(UsageError, match=r"got 8 that are \(at positions 0, 1, 2, 3, 4, \.\.\.\)"):
        check_disjoint(examples, examples)


def test_files_are_compared_byte_by_byte_without_being_decoded(tmp_path: Path) -> None:
    for name, level in (("a", 10), ("b", 20), ("copy-of-a", 10)):
        Image.new("L", (4, 4), level).save(tmp_path / f"{name}.png")
    (tmp_path / "not-an-image.png").write_bytes(b"x" * (tmp_path / "b.png").stat().st_size)

    def photos(*names: str) -> Examples:
        paths = tuple(str(tmp_path / f"{name}.png") for name in names)
        return Examples.from_labels(Photos(paths=paths, size=4, channels=1), torch.zeros(len(paths)))

    train = photos("a", "not-an-image")
    assert shared(train, photos("b", "copy-of-a")).tolist() == [1]
    assert shared(train, photos("b", "copy-of-a").select([0])).tolist() == []
