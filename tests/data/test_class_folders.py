"""Which folder is which class: by name, by number, or as a file says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from evalsuite.data._class_folders import class_folders
from evalsuite.errors import RefusedInputError, UsageError

CLASSES = ("n03", "n01", "n02")
SHAPE = (3, 28, 28)


def photo(path: Path, size: tuple[int, int] = (28, 28)) -> Image.Image:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return Image.fromarray(pixels)


def test_by_name_and_the_rest_may_be_missing(tmp_path: Path) -> None:
    for name in ("n02", "n03"):
        photo(tmp_path / name / "a.png")
    photo(tmp_path / ".cache" / "b.png")
    assert class_folders(tmp_path, CLASSES, SHAPE).labels.tolist() == [2, 0]


def test_by_number_as_imagenet_v2(tmp_path: Path) -> None:
    for name in ("2", "0", "1"):
        photo(tmp_path / name / "a.png")
    assert class_folders(tmp_path, CLASSES, SHAPE).labels.tolist() == [0, 1, 2]
    # a name counts before a number
    assert class_folders(tmp_path, ("1", "0", "2"), SHAPE).labels.tolist() == [1, 0, 2]


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_by_a_file(tmp_path: Path, suffix: str) -> None:
    for name in ("Alarm clock", "Chair, old", "Spoon"):
        photo(tmp_path / "photos" / name / "a.png")
    mapping = tmp_path / f"map{suffix}"
    mapping.write_text(
        '{"Alarm clock": ["n01", "n02"], "Chair, old": 0}'
        if suffix == ".json"
        else 'folder,class\nAlarm clock,n01\n"Chair, old",0\nAlarm clock,n02\n'
    )
    result = class_folders(tmp_path / "photos", CLASSES, SHAPE, mapping=mapping)
    assert result.labels.tolist() == [1, 0]  # nobody says what a spoon is: it is left out
    assert result.accepted is not None
    assert result.accepted.tolist() == [[1, 2], [0, 0]]
    assert result.select([1]).accepted.tolist() == [[0, 0]]


def test_photos_of_other_sizes_are_cut_as_imagenets_are(tmp_path: Path) -> None:
    image = photo(tmp_path / "n01" / "a.png", size=(50, 41))
    usual = transforms.Compose([transforms.Resize(32), transforms.CenterCrop(28), transforms.PILToTensor()])
    (outcome,) = class_folders(tmp_path, CLASSES, SHAPE).images[torch.tensor([0])]
    assert torch.equal(outcome, usual(image))
    (inner,) = class_folders(tmp_path, CLASSES, SHAPE, border=3).images[torch.tensor([0])]
    assert torch.equal(inner, usual(image.crop((3, 3, 47, 38))))


def test_a_border_can_leave_just_the_size(tmp_path: Path) -> None:
    image = photo(tmp_path / "n01" / "a.png", size=(32, 32))
    (actual,) = class_folders(tmp_path, CLASSES, SHAPE, border=2).images[torch.tensor([0])]
    assert torch.equal(actual, transforms.PILToTensor()(image.crop((2, 2, 30, 30))))
    with pytest.raises(RefusedInputError, match="larger than its border of 16"):
        class_folders(tmp_path, CLASSES, SHAPE, border=16).images[torch.tensor([0])]


@pytest.mark.parametrize(
    ("folders", "mapping", "message"),
    [
        ((), None, "got none"),
        (("n01", "n07"), None, r"names or numbers of the classes \('n03', 'n01', 'n02'\), got 'n07'"),
        (("3",), None, "got '3'"),
        (("x",), '{"x": "n07"}', r"by name .* or number \(0 to 2\), got 'n07'"),
        (("x",), '{"x": []}', "got none"),
        (("x",), '{"y": "n01"}', r"to name folders of .* \('x'\), got 'y'"),
        (("x",), '["n01"]', "not list"),
        (("x",), '{"x": 1.5}', "names or numbers"),
        (("x",), "{", "JSON like"),
    ],
)
def test_refused(tmp_path: Path, folders: tuple[str, ...], mapping: str | None, message: str) -> None:
    for name in folders:
        photo(tmp_path / "photos" / name / "a.png")
    (tmp_path / "photos").mkdir(exist_ok=True)
    file = None if mapping is None else tmp_path / "map.json"
    if file is not None:
        file.write_text(mapping or "")
    with pytest.raises((UsageError, RefusedInputError), match=message):
        class_folders(tmp_path / "photos", CLASSES, SHAPE, mapping=file)


def test_a_csv_needs_its_columns(tmp_path: Path) -> None:
    photo(tmp_path / "photos" / "x" / "a.png")
    (tmp_path / "map.csv").write_text("x,n01\n")
    with pytest.raises(RefusedInputError, match="columns folder and class"):
        class_folders(tmp_path / "photos", CLASSES, SHAPE, mapping=tmp_path / "map.csv")
