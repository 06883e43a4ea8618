"""Which prunable weights a forward pass uses: a head that only training needs is no part of what is deployed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from typing_extensions import override

from pruners._copies import copied
from pruners._weights import leave_out, prunable

_PROBES: Final = 8


def unused_weights(network: nn.Module, example: Tensor) -> frozenset[str]:
    """Names of the prunable weights that no forward pass in evaluation mode reads.

    One image is tried, and where that leaves weights unread eight others: which expert a mixture asks may depend on
    them.

    Args:
        network: Not changed.
        example: (1, c, h, w) of images, of which only shape and device matter; inputs of whole numbers are taken as
            they are.
    """
    model = copied(network).eval()
    unread = set(prunable(model))
    for inputs in _probes(model, example):
        if not unread:
            break
        with torch.no_grad(), _Reading(model, unread):
            model(inputs)
    return frozenset(unread)


def without_unused(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy of `network` of which `prunable` lists only weights that a forward pass reads; see `unused_weights`."""
    marked = copied(network)
    leave_out(marked, unused_weights(network, example))
    return marked


def _probes(network: nn.Module, example: Tensor) -> Iterator[Tensor]:
    if not example.is_floating_point():
        yield example
        return
    kind = next(network.parameters()).dtype
    yield torch.linspace(0, 1, example.numel()).reshape(example.shape).to(example.device, kind)
    draw = torch.Generator().manual_seed(0)
    yield torch.rand(_PROBES, *example.shape[1:], generator=draw).to(example.device, kind)


@final
class _Reading(TorchDispatchMode):
    """Takes the names of weights that an operator is given out of a set."""

    def __init__(self, network: nn.Module, unread: set[str]) -> None:
        TorchDispatchMode.__init__(self)
        self._unread = unread
        self._names: dict[int, set[str]] = {}
        for name, weight in prunable(network).items():
            self._names.setdefault(_storage(weight), set()).add(name)

    @override
    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        for given in tree_leaves((args, kwargs or {})):
            if isinstance(given, Tensor):
                self._unread -= self._names.get(_storage(given), set())
        return func(*args, **(kwargs or {}))


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - a storage's identity; torch tells it nowhere else
