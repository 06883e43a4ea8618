"""The peak memory of a forward pass, measured."""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from typing_extensions import override

from neuralnets.device import device_of
from neuralnets.modes import evaluating
from neuralnets.storage import storage_key


def peak_megabytes(network: nn.Module, shape: tuple[int, int, int], *, batch: int = 1) -> float:
    """Parameters, buffers and the most that tensors of one forward pass take at any time, in 10^6 bytes.

    Counted are the tensors that torch's operations hand to each other, from when they are made until nobody holds them,
    the images included; a view counts with what it is a view of. Space that a kernel takes for itself is not seen.

    Args:
        network: Run once, in evaluation and inference mode, on its own device; left in the mode in which it was.
        shape: (channels, height, width) of the images.
        batch: Images a batch, at least 1.
    """
    stored = {storage_key(t): t for t in (*network.parameters(), *network.buffers())}
    held = sum(tensor.untyped_storage().nbytes() for tensor in stored.values())
    device = device_of(network)
    with evaluating(network), torch.no_grad(), _LiveStorages(stored) as live:
        network(torch.full((batch, *shape), 0.5, device=device))
    return float(held + live.most) / 1e6


@final
class _LiveStorages(TorchDispatchMode):
    """Adds up the bytes of the tensors that are alive while operators run, and keeps the maximum.

    Attributes:
        most: Bytes.
    """

    def __init__(self, ignored: Iterable[int]) -> None:
        TorchDispatchMode.__init__(self)
        self._counted = set(ignored)
        self._now, self.most = 0, 0

    @override
    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage_key(storage), storage.nbytes()
        if key in self._counted:
            return
        self._counted.add(key)
        self._now += size
        self.most = max(self.most, self._now)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._counted.discard(key)
        self._now -= size
