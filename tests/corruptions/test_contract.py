"""The corruption contract, for every part that scanning finds."""

import re
from functools import cache

import pytest
import torch
from torch import Tensor

from evalsuite import corruptions, randomness
from evalsuite.corruptions import _blocks
from evalsuite.errors import UsageError
from evalsuite.extend import Corruption
from evalsuite.parts import registry

pytestmark = pytest.mark.slow

PACKAGE = "evalsuite.corruptions"
NAMES = registry.names(PACKAGE)
PUBLISHED = {*corruptions.COMMON, *corruptions.EXTRA}
RANDOM = PUBLISHED - {
    *(
        "defocus_blur",
        "zoom_blur",
        "gaussian_blur",
        "brightness",
        "contrast",
        "pixelate",
        "jpeg_compression",
        "saturate",
    ),
}
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 40, 56), (3, 56, 40), (1, 96, 96)]


def part(name: str, severity: int = 3) -> Corruption:
    return registry.find(PACKAGE, name, Corruption)(severity=severity)


@cache
def pictures(shape: tuple[int, int, int], count: int = 5) -> Tensor:
    """Smooth gradients with a black and a white corner and some grain, on the 8-bit grid."""
    channels, height, width = shape
    down = torch.linspace(0, 1, height)[:, None]
    right = torch.linspace(0, 1, width)
    tint = torch.linspace(0.3, 1, channels)[:, None, None]
    waves = torch.stack([0.5 + 0.4 * torch.sin(5 * down * (i + 1) + 3 * right) for i in range(count)])
    images = waves[:, None] * tint + 0.1 * randomness.uniform(keys(count), shape)
    images[..., : height // 4, : width // 4] = 0
    images[..., -height // 4 :, -width // 4 :] = 1
    return (images.clamp(0, 1) * 255).round() / 255


def keys(count: int, draw: int = 0) -> Tensor:
    return randomness.keys(11, "contract", [f"example {i}" for i in range(count)], draw)


def skip_refused(corruption: Corruption, shape: tuple[int, int, int]) -> None:
    if reason := corruption.unsupported_reason(shape):
        pytest.skip(reason)


def test_all_nineteen_are_found_under_their_published_names() -> None:
    assert set(NAMES) >= PUBLISHED
    assert len(PUBLISHED) == 19


@pytest.mark.parametrize("name", NAMES)
def test_class_name_and_group_follow_the_paper(name: str) -> None:
    outcome = registry.find(PACKAGE, name, Corruption)
    assert re.sub(r"(?<!^)(?=[A-Z])", "_", outcome.__name__).lower() == name
    assert (outcome.group == "extra") == (name in corruptions.EXTRA)
    assert outcome.group in {"noise", "blur", "weather", "digital", "extra", "other"}
    assert (outcome.group == "other") == (name not in PUBLISHED)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_result_is_a_changed_image_on_the_8_bit_grid(name: str, shape: tuple[int, int, int]) -> None:
    corruption = part(name)
    skip_refused(corruption, shape)
    images, original_keys = pictures(shape).clone(), keys(5)
    result = corruption(images, original_keys)
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert result.is_contiguous()
    assert 0 <= result.min() <= result.max() <= 1
    assert torch.equal(result, (result * 255).round() / 255)
    assert not torch.equal(result, images)
    assert torch.equal(images, pictures(shape))
    assert torch.equal(original_keys, keys(5))


@pytest.mark.parametrize("severity", [1, 3, 5])
@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 40, 56), (1, 28, 28)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_row_does_not_depend_on_its_batch(name: str, shape: tuple[int, int, int], severity: int) -> None:
    corruption = part(name, severity)
    skip_refused(corruption, shape)
    images = pictures(shape)
    together = corruption(images, keys(5))
    alone = [corruption(images[i : i + 1], keys(5)[i : i + 1]) for i in range(5)]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("name", NAMES)
def test_blocks_make_no_difference(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    corruption, images = part(name), pictures((3, 32, 32))
    whole = corruption(images, keys(5))
    # two images fit into a block, so there are blocks of 2, 2 and 1
    monkeypatch.setattr(_blocks, "_VALUES", 2 * 3 * 32 * 32 + 1)
    assert torch.equal(corruption(images, keys(5)), whole)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_large_images_do_not_depend_on_their_batch(name: str) -> None:
    images = pictures((3, 120, 120), 3)
    corruption = part(name)
    together = corruption(images, keys(3))
    assert torch.equal(together[1:2], corruption(images[1:2], keys(3)[1:2]))


@pytest.mark.parametrize("name", NAMES)
def test_the_key_decides_and_nothing_else(name: str) -> None:
    corruption, images = part(name), pictures((3, 32, 32))
    first = corruption(images, keys(5))
    assert torch.equal(first, corruption(images, keys(5)))
    other = corruption(images, keys(5, draw=1))
    changed = (first != other).flatten(1).any(1)
    draws = name in RANDOM if name in PUBLISHED else bool(changed.any())
    assert changed.all() if draws else not changed.any()


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_stays_empty(name: str) -> None:
    assert part(name)(torch.empty(0, 3, 32, 32), keys(0)).shape == (0, 3, 32, 32)


@pytest.mark.parametrize("name", NAMES)
def test_memory_layout_and_double_precision_make_no_difference(name: str) -> None:
    corruption, images = part(name), pictures((3, 32, 32))
    expected = corruption(images, keys(5))
    assert torch.equal(corruption(images.contiguous(memory_format=torch.channels_last), keys(5)), expected)
    wide = images.double()
    assert torch.equal(corruption(wide, keys(5)), expected)
    assert torch.equal(wide, images.double())


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_rounded_to_8_bit_first(name: str) -> None:
    corruption, images = part(name), pictures((3, 32, 32))
    nudged = (images + 0.4 / 255 * (randomness.uniform(keys(5, 2), (3, 32, 32)) * 2 - 1)).clamp(0, 1)
    assert not torch.equal(nudged, images)
    assert torch.equal(corruption(nudged, keys(5)), corruption(images, keys(5)))


@pytest.mark.parametrize("name", NAMES)
def test_black_and_white_images_stay_numbers(name: str) -> None:
    for value in (0.0, 1.0):
        result = part(name)(torch.full((2, 3, 32, 32), value), keys(2))
        assert torch.isfinite(result).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_severity_out_of_range_is_an_error(name: str) -> None:
    for severity in (0, 6):
        with pytest.raises(UsageError, match=f"got {severity}"):
            part(name, severity)


@pytest.mark.parametrize(
    ("name", "severity", "shape", "words"),
    [
        ("saturate", 1, (1, 28, 28), "3 channels"),
        ("gaussian_blur", 5, (1, 8, 8), "sigma 0.25 px"),
        ("defocus_blur", 5, (1, 8, 8), "scaled disc"),
        ("motion_blur", 1, (1, 8, 8), "sigma 0.25 px"),
        ("glass_blur", 1, (3, 2, 2), "at least 3x3"),
        ("elastic_transform", 1, (3, 2, 9), "at least 3x3, got 2x9"),
        ("spatter", 1, (3, 7, 9), "at least 8x8, got 7x9"),
        ("pixelate", 5, (3, 1, 9), "0.65, got 1x9"),
        ("frost", 1, (3, 32, 900), "got 32x900"),
    ],
)
def test_what_makes_no_sense_is_refused_and_raises(
    name: str, severity: int, shape: tuple[int, int, int], words: str
) -> None:
    corruption = part(name, severity)
    reason = corruption.unsupported_reason(shape)
    assert reason is not None
    assert words in reason
    with pytest.raises(UsageError, match=re.escape(reason)):
        corruption(torch.rand(2, *shape), keys(2))


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", sorted({*NAMES} - {"saturate"}))
def test_every_severity_works_on_fashion_mnist(name: str, severity: int) -> None:
    corruption = part(name, severity)
    assert corruption.unsupported_reason((1, 28, 28)) is None
    images = pictures((1, 28, 28))
    assert (corruption(images, keys(5)) != images).any()


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_the_same_on_the_device_up_to_rare_single_levels(name: str, device: torch.device) -> None:
    images = pictures((3, 64, 64))
    here = part(name)(images, keys(5))
    there = part(name)(images.to(device), keys(5).to(device))
    assert there.device.type == device.type
    gap = ((here - there.cpu()).abs() * 255).round()
    assert gap.max() <= 1
    assert (gap > 0).float().mean() < 1e-3
