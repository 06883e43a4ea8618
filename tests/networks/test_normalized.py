from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import Normalize

from evalsuite.networks.normalized import Normalized


@pytest.mark.parametrize(
    ("mean", "std"), [((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0.2860,), (0.3530,)), ((0.0,), (1.0,))]
)
def test_equals_torchvisions_normalisation_bit_by_bit(
    images: Callable[..., Tensor], mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    x = images(3, len(mean), 9)
    assert torch.equal(Normalized(nn.Identity(), mean, std)(x), Normalize(mean, std)(x))


def test_input_is_untouched_and_statistics_travel_with_the_network(images: Callable[..., Tensor]) -> None:
    x = images()
    before = x.clone()
    network = Normalized(nn.Flatten(), (0.5,) * 3, (0.25,) * 3)
    network(x)
    assert torch.equal(x, before)
    assert set(network.state_dict()) == {"mean", "std"}
    assert not list(network.parameters())


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ((0.5,), (0.5, 0.5)),
        ((), ()),
        ((0.5,), (0.0,)),
        ((float("nan"),), (1.0,)),
        ((0.5,), (float("inf"),)),
        ((0.5,), (-1.0,)),
    ],
)
def test_impossible_statistics_are_refused(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Normalized(nn.Identity(), mean, std)
