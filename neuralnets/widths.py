"""How many channels a layer takes in and puts out, as its attributes say."""

from typing import Literal, TypeAlias

from torch import nn

from neuralnets.layers import CONVOLUTIONS, NORMS, TRANSPOSED

Direction: TypeAlias = Literal["in", "out"]
"""The side of a layer: what it takes in, or what it puts out."""


def is_depthwise(layer: nn.Module) -> bool:
    """Whether `layer` is a convolution that filters each of several channels by itself."""
    if not isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED)):
        return False
    return layer.groups == layer.out_channels == layer.in_channels > 1


def width(layer: nn.Module, direction: Direction) -> int:
    """Number of channels on one side of a convolution, a linear layer, a normalisation or a PReLU.

    Raises:
        AttributeError: `layer` is of another type.
    """
    if isinstance(layer, NORMS):
        return int(layer.num_features)
    if isinstance(layer, nn.PReLU):
        return int(layer.num_parameters)
    kind = "features" if isinstance(layer, nn.Linear) else "channels"
    return int(getattr(layer, f"{direction}_{kind}"))


def set_width(layer: nn.Module, direction: Direction, size: int) -> None:
    """Make the attributes of `layer` say that it has `size` channels on one side; its tensors stay as they are.

    A normalisation, a PReLU and a depthwise convolution have the same channels on both sides. A PReLU with one slope
    for all channels keeps it.
    """
    if isinstance(layer, NORMS):
        layer.num_features = size
    elif isinstance(layer, nn.PReLU):
        layer.num_parameters = min(size, layer.num_parameters)
    elif isinstance(layer, nn.Linear):
        setattr(layer, f"{direction}_features", size)
    elif is_depthwise(layer):
        for name in ("groups", "in_channels", "out_channels"):
            setattr(layer, name, size)
    else:
        setattr(layer, f"{direction}_channels", size)


def fit_widths(layer: nn.Module) -> None:
    """Make the attributes of `layer` say the numbers of channels that its tensors have.

    Convolutions, linear layers, normalisations, PReLU and attention with one joint projection; others are left alone.
    Where a convolution with one input channel per group has fewer filters than before, whole groups went.
    """
    if isinstance(layer, CONVOLUTIONS):
        _fit_convolution(layer)
    elif isinstance(layer, TRANSPOSED):
        layer.in_channels, layer.out_channels = layer.weight.shape[0], layer.weight.shape[1] * layer.groups
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, NORMS):
        layer.num_features = len(layer.weight if layer.running_mean is None else layer.running_mean)
    else:
        _fit_rarer(layer)


def _fit_convolution(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> None:
    filters, inputs = layer.weight.shape[:2]
    if inputs == 1 and layer.groups == layer.in_channels > 1:
        # depthwise: a channel that goes takes its group along
        layer.groups = filters // (layer.out_channels // layer.groups)
    layer.out_channels, layer.in_channels = filters, inputs * layer.groups


def _fit_rarer(layer: nn.Module) -> None:
    if isinstance(layer, nn.LayerNorm):
        layer.normalized_shape = tuple(layer.weight.shape)
    elif isinstance(layer, nn.GroupNorm):
        layer.num_channels = len(layer.weight)
    elif isinstance(layer, nn.PReLU):
        layer.num_parameters = len(layer.weight)
    elif isinstance(layer, nn.MultiheadAttention):
        layer.embed_dim = layer.kdim = layer.vdim = layer.in_proj_weight.shape[1]
        layer.head_dim = layer.embed_dim // layer.num_heads
