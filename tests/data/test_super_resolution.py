"""Large photos made smaller: against Pillow's bicubic filter."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from evalsuite.data import load
from evalsuite.errors import RefusedInputError, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    flower = Image.fromarray(load_sample_image("flower.jpg"))
    for part, corner in (("train", 0), ("val", 200)):
        (tmp_path / part).mkdir()
        for n in range(3):
            box = (corner + 20 * n, 100, corner + 20 * n + 60, 150)
            flower.crop(box).save(tmp_path / part / f"{n}.png")
    return tmp_path


@pytest.mark.parametrize("factor", [2, 3])
def test_small_images_are_what_pillow_makes_of_the_centre(folder: Path, factor: int) -> None:
    data = load(f"super-resolution:{folder}?size=16&factor={factor}")
    assert data.train is not None
    assert (data.shape, data.outputs, len(data.train), len(data.test)) == (
        (3, 16, 16),
        (3, 16 * factor, 16 * factor),
        3,
        3,
    )
    batch = data.test.batch(0, 3)
    for place in range(3):
        with Image.open(folder / "val" / f"{place}.png") as file:
            side = 16 * factor
            left, top = round((60 - side) / 2), round((50 - side) / 2)
            centre = file.convert("RGB").crop((left, top, left + side, top + side))
            small = np.asarray(centre.resize((16, 16), Image.Resampling.BICUBIC)).astype(int)
        assert np.abs((batch.truths[place].permute(1, 2, 0).numpy() * 255).round() - np.asarray(centre)).max() == 0
        # both round, one in fixed point
        assert np.abs((batch.images[place].permute(1, 2, 0).numpy() * 255).round() - small).max() <= 1


def test_photos_that_are_too_small_and_folders_without_any_are_told(folder: Path, tmp_path: Path) -> None:
    data = load(f"super-resolution:{folder}?size=16&factor=3")
    with pytest.raises(UsageError, match="factor >= 2 and size >= 1, got 1 and 16"):
        load(f"super-resolution:{folder}?size=16&factor=1")
    assert data.overlap == 0
    with pytest.raises(RefusedInputError, match=r"0\.png to .* 128 .*got 60 x 50"):
        load(f"super-resolution:{folder}?size=64")
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match=r"expected images .* got none"):
        load(f"super-resolution:{tmp_path / 'none'}")
    with pytest.raises(UsageError, match="path of a folder"):
        load(f"super-resolution:{tmp_path / 'nowhere'}")


def test_sample_photos_are_patches_of_scikit_learns_photos() -> None:
    data = load("sample-photos?size=20&factor=2")
    assert data.train is not None
    assert (len(data.train), len(data.test)) == (160, 160)
    patch = data.test.truths([17])[0]
    # the 18th patch of 40 pixels is the second of the second row of 16
    expected = load_sample_image("flower.jpg")[40:80, 40:80]
    assert torch.equal((patch.permute(1, 2, 0) * 255).round().to(torch.uint8), torch.from_numpy(expected.copy()))
