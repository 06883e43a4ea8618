import pytest
import torch
from torch import nn

from neuralnets.widths import fit_widths, is_depthwise, set_width, width


@pytest.mark.parametrize(
    ("layer", "widths"),
    [
        (nn.Conv2d(4, 6, 3), (4, 6)),
        (nn.ConvTranspose1d(4, 6, 3), (4, 6)),
        (nn.Linear(4, 6), (4, 6)),
        (nn.Conv2d(4, 4, 3, groups=4), (4, 4)),
        (nn.BatchNorm2d(4), (4, 4)),
        (nn.PReLU(4), (4, 4)),
    ],
)
def test_widths_are_read_and_set(layer: nn.Module, widths: tuple[int, int]) -> None:
    assert (width(layer, "in"), width(layer, "out")) == widths
    set_width(layer, "out", 2)
    one_sided = isinstance(layer, nn.Conv2d | nn.ConvTranspose1d | nn.Linear) and not is_depthwise(layer)
    assert width(layer, "out") == 2
    assert width(layer, "in") == (4 if one_sided else 2)


def test_depthwise_is_one_filter_for_each_of_several_channels() -> None:
    assert is_depthwise(nn.Conv2d(4, 4, 3, groups=4))
    assert is_depthwise(nn.ConvTranspose2d(4, 4, 3, groups=4))
    assert not any(map(is_depthwise, (nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(1, 1, 3), nn.Linear(4, 4))))


def test_one_slope_for_all_channels_stays_one() -> None:
    layer = nn.PReLU()
    set_width(layer, "out", 7)
    assert layer.num_parameters == 1


@pytest.mark.parametrize(
    ("layer", "shape", "attributes"),
    [
        (nn.Conv2d(4, 6, 3), (5, 3, 3, 3), {"in_channels": 3, "out_channels": 5, "groups": 1}),
        (nn.Conv2d(4, 6, 3, groups=2), (4, 1, 3, 3), {"in_channels": 2, "out_channels": 4, "groups": 2}),
        (nn.Conv2d(4, 8, 3, groups=4), (6, 1, 3, 3), {"in_channels": 3, "out_channels": 6, "groups": 3}),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), (2, 2, 3, 3), {"in_channels": 2, "out_channels": 4, "groups": 2}),
        (nn.Linear(4, 6), (5, 3), {"in_features": 3, "out_features": 5}),
        (nn.LayerNorm(4), (3,), {"normalized_shape": (3,)}),
        (nn.GroupNorm(1, 4), (3,), {"num_channels": 3}),
        (nn.PReLU(4), (3,), {"num_parameters": 3}),
    ],
)
def test_attributes_follow_the_tensors(layer: nn.Module, shape: tuple[int, ...], attributes: dict[str, object]) -> None:
    layer.weight = nn.Parameter(torch.zeros(shape))
    fit_widths(layer)
    assert {name: getattr(layer, name) for name in attributes} == attributes


def test_norms_and_attention_follow_their_tensors() -> None:
    norm = nn.BatchNorm2d(4, affine=False)
    norm.running_mean = torch.zeros(3)
    fit_widths(norm)
    assert norm.num_features == 3
    attention = nn.MultiheadAttention(8, 2)
    attention.in_proj_weight = nn.Parameter(torch.zeros(18, 6))
    fit_widths(attention)
    assert (attention.embed_dim, attention.kdim, attention.vdim, attention.head_dim) == (6, 6, 6, 3)
