"""Reads the activations of channels, as the layers behind take them in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from neuralnets.forward_hooks import attached
from pruners._channels import ChannelGroup, Side


def read(network: nn.Module, groups: Sequence[ChannelGroup], images: Tensor) -> tuple[Tensor, ...]:
    """Per group (examples, size, positions): each channel as the first layer that reads it sees it.

    That is behind activation, normalisation and pooling. A channel that is flattened into several inputs of a linear
    layer has as many positions; a token of a transformer is a position.

    Args:
        network: In eval mode; not changed.
        groups: Groups of channels.
        images: (examples, c, h, w).

    Raises:
        ValueError: No layer reads all channels of a group equally often.
    """
    values: dict[int, Tensor] = {}
    with _watching(network, groups, values):
        network(images)
    return tuple(values[number] for number in range(len(groups)))


def first_reader(group: ChannelGroup) -> Side:
    """The first layer that reads all channels of `group`, every one equally often.

    Raises:
        ValueError: There is none.
    """
    for side in group.sides:
        counts = torch.bincount(side.channels[side.channels >= 0], minlength=group.size)
        if side.direction == "in" and bool((counts == counts[0]).all()):
            return side
    raise ValueError(f"expected a layer that reads all channels of {group} equally often, got none")


def by_channel(inputs_read: Tensor, side: Side, size: int, *, last: bool) -> Tensor:
    """Inputs of a layer as (examples, size, positions).

    Args:
        inputs_read: (examples, inputs, ...), or (examples, ..., inputs) if `last`.
        side: Which input belongs to which of the group's channels; every channel has equally many.
        size: Number of channels.
        last: Whether inputs are the last dimension.
    """
    inputs = inputs_read.movedim(-1, 1) if last else inputs_read
    inside = (side.channels >= 0).nonzero().squeeze(1)
    order = inside[side.channels[inside].argsort(stable=True)].to(inputs_read.device)
    grouped: Tensor = inputs.index_select(1, order).unflatten(1, (size, -1)).flatten(2)
    return grouped


@contextmanager
def _watching(network: nn.Module, groups: Sequence[ChannelGroup], values: dict[int, Tensor]) -> Iterator[None]:
    handles = []
    for number, group in enumerate(groups):
        side = first_reader(group)
        layer = network.get_submodule(side.layer)

        def note(
            layer: nn.Module,
            inputs: tuple[Tensor, ...],
            side: Side = side,
            number: int = number,
            size: int = group.size,
        ) -> None:
            values[number] = by_channel(inputs[0], side, size, last=isinstance(layer, nn.Linear))

        handles.append(layer.register_forward_pre_hook(note))
    with attached(handles):
        yield
