"""Pascal VOC's folders, written small in the real format."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evalsuite.data import load
from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.problems.segmentation import VOID

PALETTE = [value for number in range(256) for value in (number, 255 - number, number // 2)]


def devkit(folder: Path, masks: dict[str, np.ndarray], *, mode: str = "P") -> Path:
    """Two training and two held-out photos of the masks' size, listed as in the challenge."""
    root = folder / "VOCdevkit" / "VOC2012"
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / part).mkdir(parents=True)
    draw = np.random.default_rng(0)
    for name, mask in masks.items():
        photo = draw.integers(0, 256, (*mask.shape, 3)).astype(np.uint8)
        Image.fromarray(photo).save(root / "JPEGImages" / f"{name}.jpg")
        image = Image.fromarray(mask)
        if mode == "P":
            image = image.convert("P")
            image.putdata(mask.flatten().tolist())
            image.putpalette(PALETTE)
        image.convert(mode).save(root / "SegmentationClass" / f"{name}.png")
    names = list(masks)
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("\n".join(names[:2]) + "\n")
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("\n".join(names[2:]) + "\n")
    return folder


def masks(*, height: int = 12, width: int = 16) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1)
    result = {f"2007_{n:06d}": draw.integers(0, 21, (height, width)).astype(np.uint8) for n in range(4)}
    result["2007_000002"][:3] = 255
    return result


@pytest.mark.parametrize("mode", ["P", "L"])
def test_photos_and_masks_are_read(tmp_path: Path, mode: str) -> None:
    written = masks()
    data = load(f"voc:{devkit(tmp_path, written, mode=mode)}?size=12")
    assert data.shape == (3, 12, 12)
    assert data.outputs == (21, 12, 12)
    assert data.classes[:2] == ("background", "aeroplane")
    assert data.problem.title == "semantic segmentation"
    assert data.train is not None
    assert (len(data.train), len(data.test)) == (2, 2)
    batch = data.test.batch(0, 2)
    # a photo of the right height is not resized: the centre of the mask is what stands in the file
    expected = torch.from_numpy(written["2007_000002"][:, 2:14].astype(np.int64))
    assert torch.equal(batch.truths[0], expected.where(expected != 255, VOID))
    assert batch.images.shape == (2, 3, 12, 12)
    assert batch.ids == data.test.ids
    assert len(set(batch.ids)) == 2


def test_resized_masks_blend_no_classes(tmp_path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:] = 20
    data = load(f"voc:{devkit(tmp_path, dict.fromkeys(('a', 'b', 'c', 'd'), mask))}?size=10")
    (truth,) = data.test.truths([0])
    assert truth.unique().tolist() == [0, 20]
    assert truth.float().mean().item() == 10.0


def test_an_example_is_its_mask_too(tmp_path: Path) -> None:
    first = masks()
    second = {name: mask.copy() for name, mask in first.items()}
    second["2007_000003"][0, 5] = (second["2007_000003"][0, 5] + 1) % 21
    one = load(f"voc:{devkit(tmp_path / 'one', first)}?size=12").test.ids
    two = load(f"voc:{devkit(tmp_path / 'two', second)}?size=12").test.ids
    assert one[0] == two[0]
    assert one[1] != two[1]


def test_bad_folders_and_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ImageSets/Segmentation/train.txt in .*VOCdevkit/VOC2012, got"):
        load(f"voc:{tmp_path}")
    small = load(f"voc:{devkit(tmp_path / 'few', masks())}?size=12&classes=5")
    with pytest.raises(RefusedInputError, match=r"classes below 5 in .*2007_000002\.png, got \d+"):
        small.test.batch(0, 1)
    coloured = load(f"voc:{devkit(tmp_path / 'colour', masks(), mode='RGB')}?size=12")
    with pytest.raises(RefusedInputError, match=r"hold class numbers .* got mode RGB"):
        coloured.test.batch(0, 1)
    with pytest.raises(UsageError, match="classes from 2 to 255, got 1"):
        load(f"voc:{tmp_path}?classes=1")


@pytest.mark.parametrize(
    "name", [b"../../../elsewhere/a", b"/elsewhere/a", b"sub/a", b"a\0b", b"\xff", b"../JPEGImages/2007_000002"]
)
def test_a_list_that_leads_out_of_the_set_is_refused(name: bytes, tmp_path: Path) -> None:
    root = devkit(tmp_path, masks())
    (root / "VOCdevkit" / "VOC2012" / "ImageSets" / "Segmentation" / "val.txt").write_bytes(name + b"\n")
    with pytest.raises((RefusedInputError, UsageError), match=r"Segmentation/val\.txt|to be an image"):
        load(f"voc:{root}?size=4")
