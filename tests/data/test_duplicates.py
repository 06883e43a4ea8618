"""What stands twice is one observation: counted, told, and kept where the answers differ."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evalsuite.data import Dataset, Examples, load
from evalsuite.data._disjoint import fold
from evalsuite.tasks.shift import Shift

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 5, 5), dtype=np.uint8)


def archive(path: Path, order: list[int], labels: list[int]) -> str:
    np.savez(path, x_test=IMAGES[order], y_test=np.array(labels))
    return f"npz:{path}"


def basis_of(dataset: Dataset) -> dict[str, tuple[str, str]]:
    return {each.topic: (each.value, each.basis) for each in dataset.interpretations}


def test_the_same_image_with_the_same_label_is_one_example(tmp_path: Path) -> None:
    result = load(archive(tmp_path / "a.npz", [0, 1, 0, 2, 1, 0], [0, 1, 0, 0, 1, 0]))
    assert (len(result.test), result.duplicates) == (3, 3)
    assert result.test.positions.tolist() == [0, 1, 3]
    assert result.test.labels.tolist() == [0, 1, 0]
    assert basis_of(result)["duplicates"] == ("3 of 6 held-out examples are left out", "measured")
    assert "contradictory answers" not in basis_of(result)


def test_contradictory_labels_are_kept_and_told(tmp_path: Path) -> None:
    outcome = load(archive(tmp_path / "a.npz", [0, 1, 0, 0], [0, 1, 1, 0]))
    assert outcome.duplicates == 1
    assert outcome.test.labels.tolist() == [0, 1, 1]
    value, basis = basis_of(outcome)["contradictory answers"]
    assert value.startswith("2 held-out examples have the image of another")
    assert basis == "doubtful"


def test_nothing_is_told_where_nothing_stands_twice(tmp_path: Path) -> None:
    actual = load(archive(tmp_path / "a.npz", [0, 1, 2, 3], [0, 1, 0, 1]))
    assert (len(actual.test), actual.duplicates) == (4, 0)
    assert not {"duplicates", "overlap", "contradictory answers"} & basis_of(actual).keys()


def test_photos_are_compared_by_their_files(tmp_path: Path) -> None:
    for name, number in (("ant/a", 0), ("ant/copy", 0), ("bee/b", 1), ("bee/of-ant", 0)):
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[number]).save(path)
    computed = load(f"folder:{tmp_path / 'photos'}")
    names = [Path(computed.test.images.paths[k]).stem for k in computed.test.positions.tolist()]
    assert (names, computed.duplicates) == (["a", "b", "of-ant"], 1)
    assert basis_of(computed)["contradictory answers"][1] == "doubtful"


def test_rows_of_a_table_are_patients_and_kept(tmp_path: Path) -> None:
    rows = "\n".join(f"{k},{2 * k}" for k in range(12))
    (tmp_path / "train.csv").write_text(f"a,y\n{rows}\n")
    (tmp_path / "test.csv").write_text("a,y\n3,77\n3,77\n4,9\n")
    result = load(f"csv:{tmp_path / 'train.csv'}?target=y&test={tmp_path / 'test.csv'}")
    assert (len(result.test), result.duplicates) == (3, 0)


def test_large_photos_of_a_super_resolution_are_compared_by_file(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1), ("copy", 0)):
        pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    result = load(f"super-resolution:{tmp_path}?size=8")
    assert (len(result.test), result.duplicates) == (2, 1)


def test_several_accepted_classes_belong_to_the_answer() -> None:
    images = torch.from_numpy(IMAGES[[0, 0, 0]])[:, None]
    accepted = torch.tensor([[0, 1], [0, 0], [0, 1]])
    labels = torch.zeros(3, dtype=torch.int64)
    examples = Examples(images=images, labels=labels, positions=torch.arange(3), accepted=accepted)
    folded = fold(examples)
    assert (len(folded.examples), folded.duplicates, folded.contradictory) == (2, 1, 2)


def test_own_examples_of_a_shift_are_folded_too(tmp_path: Path) -> None:
    data = load(archive(tmp_path / "data.npz", [0, 1], [0, 1]))
    archive(tmp_path / "shift.npz", [2, 3, 2], [0, 1, 0])
    result = Shift(layout="npz", at=str(tmp_path / "shift.npz")).examples(data)
    assert result.labels.tolist() == [0, 1]


def test_a_smaller_choice_after_folding_is_still_of_different_images(tmp_path: Path) -> None:
    result = load(archive(tmp_path / "a.npz", [0, 0, 1, 1, 2, 3], [0, 0, 1, 1, 0, 1])).test
    assert len(set(result.ids)) == len(result) == 4


@pytest.mark.parametrize("rows", [3, 5])
def test_a_table_of_slices_may_have_rows_for_what_was_left_out(tmp_path: Path, rows: int) -> None:
    from evalsuite.data._slices import read
    from evalsuite.evaluation.shard_slices import _rows

    data = load(archive(tmp_path / "a.npz", [0, 0, 1, 2, 2], [0, 0, 1, 1, 1]))
    (tmp_path / "s.csv").write_text("site\n" + "".join(f"s{k}\n" for k in range(rows)))
    expected = {3: [0, 1, 2], 5: [0, 2, 3]}[rows]
    assert list(_rows(read(tmp_path / "s.csv"), data, data.test)) == expected
