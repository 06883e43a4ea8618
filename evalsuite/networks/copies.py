"""Copies of networks, whatever their last forward pass left in them."""

from collections.abc import Iterator
from copy import deepcopy
from typing import TypeVar

from torch import Tensor, nn

_Network = TypeVar("_Network", bound=nn.Module)


def copied(network: _Network) -> _Network:
    """A deep copy; tensors that `network` remembers of a pass with gradients are copied as values.

    The membranes of spiking neurons are such: they hang on the graph of that pass, of which there is no copy. The
    pruners, which know nothing of this package, copy in the same way.
    """
    left_over = {id(tensor): tensor.detach().clone() for tensor in _tensors(network) if not tensor.is_leaf}
    return deepcopy(network, left_over)


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    for module in network.modules():
        yield from module.buffers(recurse=False)
        yield from (value for value in vars(module).values() if isinstance(value, Tensor))
