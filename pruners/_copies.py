"""Copies of networks, whatever their last forward pass left in them."""

import threading
from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from typing import Final, TypeVar

from torch import Tensor, nn

_Network = TypeVar("_Network", bound=nn.Module)
_LOCK: Final = type(threading.Lock())
_REENTRANT: Final = type(threading.RLock())
_DEEPEST: Final = 4


def copied(network: _Network) -> _Network:
    """A deep copy; tensors that `network` remembers of a pass with gradients are copied as values.

    Such are the membrane potentials of spiking neurons. They hang on the graph of that pass, and no graph is copied.
    Locks and conditions are made anew.
    """
    left_over = {id(tensor): tensor.detach().clone() for tensor in _tensors(network) if not tensor.is_leaf}
    return deepcopy(network, {**_fresh_locks(network), **left_over})


def _fresh_locks(network: nn.Module) -> dict[int, object]:
    """New locks for those that modules hold: they are held by threads and say nothing of the network."""
    held = [value for module in network.modules() for value in vars(module).values()]
    fresh: dict[int, object] = {}
    for value in held:
        if isinstance(value, _LOCK | _REENTRANT):
            fresh[id(value)] = threading.Lock() if isinstance(value, _LOCK) else threading.RLock()
    for value in held:
        if isinstance(value, threading.Condition):
            # a condition may stand on a lock that the module holds too
            lock = fresh.get(id(vars(value)["_lock"]), threading.RLock())
            fresh[id(value)] = threading.Condition(lock)  # type: ignore[arg-type]
    return fresh


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    for module in network.modules():
        yield from module.buffers(recurse=False)
        for value in vars(module).values():
            yield from _inside(value)


def _inside(value: object, depth: int = 0) -> Iterator[Tensor]:
    """Tensors that an attribute is, or keeps in containers: maps that a network remembers, say."""
    if isinstance(value, Tensor):
        yield value
    elif depth < _DEEPEST and isinstance(value, dict | list | tuple | deque):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _inside(each, depth + 1)
