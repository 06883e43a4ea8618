from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from evalsuite.errors import UsageError
from evalsuite.networks.architectures.by_name import build


@pytest.mark.parametrize(
    ("channels", "side", "parameters"),
    [
        # 6 (25 c + 1) + 16 (150 + 1) + 120 (400 + 1) + 84 * 121 + 10 * 85 = 150 c + 6 + 2416 + 48120 + 10164 + 850
        (1, 28, 61706),
        (1, 32, 61706),
        (3, 32, 62006),
        # a 2 x 2 map: 120 (64 + 1) in place of 120 (400 + 1)
        (1, 8, 61706 - 120 * 336),
    ],
)
def test_counts_by_hand(channels: int, side: int, parameters: int) -> None:
    network = build("lenet5", classes=10, channels=channels, image_size=side)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network(torch.rand(2, channels, side, side)).shape == (2, 10)


@pytest.mark.parametrize("side", [4, 5, 7, 11, 12, 13, 16, 27, 28, 31, 32, 33, 64])
def test_every_size_from_4_px_works(side: int) -> None:
    network = build("lenet5", classes=3, channels=1, image_size=side)
    assert network(torch.rand(1, 1, side, side)).shape == (1, 3)


def test_28_px_is_the_32_px_network_on_bordered_images(images: Callable[..., Tensor]) -> None:
    small = build("lenet5", classes=10, channels=1, image_size=28)
    large = build("lenet5", classes=10, channels=1, image_size=32)
    large.load_state_dict(small.state_dict())
    x = images(2, 1, 28)
    torch.testing.assert_close(small(x), large(F.pad(x, (2, 2, 2, 2))))


def test_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 4 px"):
        build("lenet5", classes=10, channels=1, image_size=3)
