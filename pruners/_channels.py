"""Masks or removes channels, in every layer that shares them.

Which channels belong together is found by `pruners._coupling`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.parameter import Parameter
from typing_extensions import override

from neuralnets.copies import copied
from neuralnets.layers import NORMS, TRANSPOSED
from neuralnets.weights import prunable
from neuralnets.widths import Direction, is_depthwise, set_width


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """The inputs or outputs of a layer, and which channels of a group stand there.

    Attributes:
        layer: Name of the layer in the network.
        direction: "out": what the layer puts out (of a depthwise convolution or a normalisation: what goes through
            it); "in": what it takes in.
        channels: (n,), int64, on the CPU: for each of the layer's n channels on that side the channel of the group
            it belongs to, or -1.
    """

    layer: str
    direction: Direction
    channels: Tensor


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelGroup:
    """Channels that several layers share, so that each is removed from all of them or from none.

    Attributes:
        size: Number of channels. In a grouped convolution one channel here is one channel of each convolution group.
        sides: Where the channels stand; together with the sides of all other groups, no position occurs twice.
    """

    size: int
    sides: tuple[Side, ...]

    @override
    def __str__(self) -> str:
        return ", ".join(dict.fromkeys(side.layer for side in self.sides if side.direction == "out"))


Keep = Mapping[ChannelGroup, Tensor]
"""Group → (size,) bool, on the CPU: True where the channel stays. Groups that are not listed keep all channels."""


def filters(network: nn.Module, group: ChannelGroup) -> tuple[tuple[Tensor, Tensor], ...]:
    """The convolution and linear filters that produce the channels of `group`.

    Returns:
        Per layer: the filters (n, entries of one filter), and the channel of the group (n,) each belongs to, or -1.
    """
    layers = []
    for side in group.sides:
        layer = network.get_submodule(side.layer)
        if side.direction == "in" or isinstance(layer, (*NORMS, nn.PReLU)):
            continue
        weight = layer.get_parameter("weight").detach()
        if isinstance(layer, TRANSPOSED) and not is_depthwise(layer):
            # (in, out / groups, ...): filters of all groups side by side
            split = weight.unflatten(0, (layer.groups, -1)).transpose(1, 2).flatten(0, 1)
            layers.append((split.flatten(1), side.channels))
        else:
            layers.append((weight.flatten(1), side.channels))
    return tuple(layers)


def mask_channels(network: nn.Module, keep: Keep) -> nn.Module:
    """A deep copy of the same shape in which the channels that go carry and meet nothing but zeros.

    Zeroed are the filters, their biases, gamma and beta of the normalisation behind them, and the weights that read
    them.
    """
    masked = copied(network)
    with torch.no_grad():
        for side, stays in _cuts(keep):
            layer = masked.get_submodule(side.layer)
            for name, dim in _tensors(layer, side.direction):
                tensor = getattr(layer, name)
                if isinstance(tensor, Parameter):
                    tensor.index_fill_(dim, _positions(~stays, tensor, dim), 0)
    return masked


def remove_channels(network: nn.Module, keep: Keep) -> nn.Module:
    """A deep copy without the channels that go: fewer parameters, fewer operations, the outputs of `mask_channels`."""
    smaller = copied(network)
    for side, stays in _cuts(keep):
        layer = smaller.get_submodule(side.layer)
        for name, dim in _tensors(layer, side.direction):
            tensor = getattr(layer, name)
            rest = tensor.detach().index_select(dim, _positions(stays, tensor, dim))
            is_parameter = isinstance(tensor, Parameter)
            setattr(layer, name, Parameter(rest, requires_grad=tensor.requires_grad) if is_parameter else rest)
        set_width(layer, side.direction, int(stays.sum()))
    return smaller


def counter(network: nn.Module, groups: Sequence[ChannelGroup]) -> Callable[[Tensor], int]:
    """A function from what stays to the number of nonzero prunable parameters that `remove_channels` would leave.

    Its argument is (sum of sizes,), bool: the channels of all groups, one group after the other. Nothing is copied:
    for every weight the nonzeros of each pair (channel put out, channel read) are counted once, in advance.
    """
    tables = [_table(weight.detach(), *sides) for weight, sides in _labels(network, groups)]

    def count(stays: Tensor) -> int:
        flags = torch.cat([stays.double(), torch.ones(1, dtype=torch.float64)])
        return sum(round(float(flags[rows] @ table @ flags[columns])) for table, rows, columns in tables)

    return count


def _labels(network: nn.Module, groups: Sequence[ChannelGroup]) -> list[tuple[Tensor, list[Tensor]]]:
    # per weight and each of its first two dimensions: the number of the channel over all groups, -1 for none
    weights = prunable(network)
    labels = {name: [torch.full((size,), -1) for size in weight.shape[:2]] for name, weight in weights.items()}
    offset = 0
    for group in groups:
        for side in group.sides:
            for name, dim in _tensors(network.get_submodule(side.layer), side.direction):
                if (full := f"{side.layer}.{name}".removeprefix(".")) in labels:
                    channels = side.channels[: len(labels[full][dim])]
                    labels[full][dim][channels >= 0] = channels[channels >= 0] + offset
        offset += group.size
    return [(weight, labels[name]) for name, weight in weights.items()]


def _table(weight: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    row_names, row_index = rows.unique(return_inverse=True)
    column_names, column_index = columns.unique(return_inverse=True)
    # float32 counts exactly up to 2^24, which no single filter exceeds
    nonzero = (weight != 0).flatten(2).sum(2, dtype=torch.float32) if weight.dim() > 2 else (weight != 0).float()
    by_column = torch.zeros(len(nonzero), len(column_names)).index_add_(1, column_index, nonzero.cpu())
    table = torch.zeros(len(row_names), len(column_names), dtype=torch.float64)
    return table.index_add_(0, row_index, by_column.double()), row_names, column_names


def _cuts(keep: Keep) -> list[tuple[Side, Tensor]]:
    # per side: which of its positions stay; a position of no group always does
    cuts = []
    for group, stays in keep.items():
        if stays.shape != (group.size,):
            raise ValueError(f"expected {group.size} flags for the channels of {group}, got shape {tuple(stays.shape)}")
        if not bool(stays.any()):
            raise ValueError(f"expected at least one channel of {group} to stay, got none")
        cuts += [(side, torch.cat([stays, stays.new_ones(1)])[side.channels]) for side in group.sides]
    return _joined(cuts)


def _joined(cuts: list[tuple[Side, Tensor]]) -> list[tuple[Side, Tensor]]:
    # one layer side may carry channels of several groups: it is cut once, before its positions shift
    joined: dict[tuple[str, str], tuple[Side, Tensor]] = {}
    for side, stays in cuts:
        key = (side.layer, side.direction)
        joined[key] = (side, joined[key][1] & stays if key in joined else stays)
    return list(joined.values())


def _positions(flags: Tensor, tensor: Tensor, dim: int) -> Tensor:
    # a grouped convolution's weight holds the positions of one group only; all groups are cut alike
    return flags[: tensor.shape[dim]].nonzero().squeeze(1).to(tensor.device)


def _tensors(layer: nn.Module, direction: Direction) -> list[tuple[str, int]]:
    """Names of the tensors of `layer` that have the channels of that side, and in which dimension."""
    if isinstance(layer, NORMS):
        names = [("weight", 0), ("bias", 0), ("running_mean", 0), ("running_var", 0)]
    elif isinstance(layer, nn.PReLU):
        names = [("weight", 0)] if layer.num_parameters > 1 else []
    elif is_depthwise(layer):
        names = [("weight", 0), ("bias", 0)]
    elif direction == "in":
        names = [("weight", 0 if isinstance(layer, TRANSPOSED) else 1)]
    else:
        names = [("weight", 1 if isinstance(layer, TRANSPOSED) else 0), ("bias", 0)]
    return [(name, dim) for name, dim in names if getattr(layer, name) is not None]
