"""Where the pictures of frost come from."""

from pathlib import Path

import pytest
import torch

from evalsuite import randomness
from evalsuite.corruptions import _frost_texture
from evalsuite.corruptions.frost import Frost, available_texture
from evalsuite.errors import UsageError

INSTALLED = available_texture() == "published"


def keys(count: int) -> torch.Tensor:
    return randomness.keys(4, "frost", [str(i) for i in range(count)])


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_frost_texture, "find_spec", lambda _: None)


@pytest.mark.skipif(not INSTALLED, reason="the published pictures of frost (imagecorruptions-imaug) are not installed")
def test_the_published_pictures_are_found() -> None:
    frames, sizes = _frost_texture.textures("published", 1.0)
    assert Frost(severity=1).texture == "published"
    assert sizes == ((600, 900), (315, 560), (315, 560), (350, 527), (495, 660))
    # the first is teal: more blue than red
    assert frames[0, 2].double().mean() > frames[0, 0].double().mean() + 50
    assert torch.equal(frames[1], frames[2])


@pytest.mark.usefixtures("without_package")
def test_without_them_the_default_is_drawn_and_says_so() -> None:
    assert available_texture() == "procedural"
    part = Frost(severity=3)
    assert part.texture == "procedural"
    assert part != Frost(severity=3, texture="published")


def test_a_package_without_the_pictures_counts_as_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(_frost_texture, "find_spec", lambda _: Spec())
    assert available_texture() == "procedural"


@pytest.mark.usefixtures("without_package")
def test_published_frost_that_is_not_installed_is_an_error() -> None:
    # 0.123: a scale that no other test has asked for, so that nothing is remembered
    with pytest.raises(UsageError, match="imagecorruptions-imaug"):
        _frost_texture.textures("published", 0.123)


def test_an_unknown_texture_is_an_error() -> None:
    with pytest.raises(UsageError, match="expected texture 'published' or 'procedural', got 'real'"):
        Frost(severity=1, texture="real")


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 120, 120), (3, 299, 299)], ids=str)
def test_drawn_frost_works_at_every_size(shape: tuple[int, int, int]) -> None:
    images = torch.full((2, *shape), 0.4)
    result = Frost(severity=3, texture="procedural")(images, keys(2))
    assert result.shape == images.shape
    assert result.std() > 0.01
    assert not torch.equal(result[0], result[1])


def test_drawn_frost_has_the_tones_of_the_published() -> None:
    frames, sizes = _frost_texture.textures("procedural", 1.0)
    for picture, (height, width), tone in zip(frames, sizes, _frost_texture._TONES, strict=True):
        mean = picture[:, :height, :width].double().mean((1, 2))
        assert (mean - torch.tensor(tone)).abs().max() < 6


def test_all_five_pictures_and_the_whole_width_are_drawn_from() -> None:
    # two pictures are the same, so 400 keys on black must show more than 390 different crops
    images = torch.zeros(400, 3, 32, 32)
    crops = Frost(severity=1)(images, keys(400))
    assert len(torch.unique(crops.flatten(1), dim=0)) > 390
