"""Weights by which the layers behind a group of channels read them."""

import torch
from torch import Tensor, nn

from neuralnets.layers import TRANSPOSED
from pruners._channels import ChannelGroup, Side


def readers(group: ChannelGroup) -> tuple[Side, ...]:
    """The sides on which layers take the channels of `group` in."""
    return tuple(side for side in group.sides if side.direction == "in")


def input_dim(layer: nn.Module) -> int:
    """The dimension of a layer's weight that goes over its inputs."""
    return 0 if isinstance(layer, TRANSPOSED) else 1


def input_channels(layer: nn.Module, side: Side) -> Tensor:
    """For each position of the weight's input dimension the channel of the group it reads, or -1, on the CPU.

    A grouped convolution reads the same channel at the same place of each of its groups.
    """
    return side.channels[: layer.get_parameter("weight").shape[input_dim(layer)]]


def input_slots(layer: nn.Module, side: Side, size: int) -> Tensor:
    """(size, copies): the positions of the weight's input dimension at which each channel is read, in order.

    Raises:
        ValueError: One channel is read at more places than another.
    """
    channels = input_channels(layer, side)
    counts = torch.bincount(channels[channels >= 0], minlength=size)
    if not bool((counts == counts[0]).all()):
        raise ValueError(f"expected {side.layer} to read every channel equally often, got {counts.tolist()} times")
    inside = (channels >= 0).nonzero().squeeze(1)
    return inside[channels[inside].argsort(stable=True)].view(size, -1)


def largest_reading(network: nn.Module, group: ChannelGroup) -> Tensor:
    """(size,), float64, on the CPU: the largest absolute weight by which any layer reads each channel."""
    largest = torch.zeros(group.size, dtype=torch.float64)
    for side in readers(group):
        layer = network.get_submodule(side.layer)
        sizes = layer.get_parameter("weight").detach().abs().movedim(input_dim(layer), 0).flatten(1)
        channels = input_channels(layer, side)
        inside = channels >= 0
        largest.scatter_reduce_(0, channels[inside], sizes.amax(1).double().cpu()[inside], "amax")
    return largest


@torch.no_grad()
def scale_readings_(network: nn.Module, group: ChannelGroup, factors: Tensor) -> None:
    """Multiply, in place, the weights that read each channel of `group` by the channel's factor, (size,)."""
    for side in readers(group):
        layer = network.get_submodule(side.layer)
        weight, dim = layer.get_parameter("weight"), input_dim(layer)
        channels = input_channels(layer, side)
        each = torch.where(channels >= 0, factors[channels.clamp_min(0)], 1.0)
        shape = [-1 if axis == dim else 1 for axis in range(weight.dim())]
        weight.mul_(each.view(shape).to(weight))
