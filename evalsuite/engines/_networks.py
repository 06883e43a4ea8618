"""Networks in memory: loaded when they are needed, let go when there are too many."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, final, overload

import torch
from torch import nn
from typing_extensions import override

from evalsuite.engines._items import NetworkRef

_SHARE: Final = 0.5
"""Of the memory that is free: what networks may take; the rest is for examples and what is computed of them."""


@final
class NetworkLoader:
    """Holds the networks that were used last; those that have no file stay.

    Attributes:
        budget: How many networks that have a file are in memory at most; None: any number.
    """

    def __init__(self, read: Callable[[NetworkRef], nn.Module], *, budget: int | None = None) -> None:
        """`read` gives the network of a file, on its device and in evaluation mode."""
        if budget is not None and budget < 1:
            raise ValueError(f"expected a budget of at least one network, got {budget}")
        self.budget = budget
        self._read = read
        self._resident: dict[str, nn.Module] = {}
        self._loaded: OrderedDict[str, nn.Module] = OrderedDict()

    def add(self, ref: NetworkRef, network: nn.Module) -> None:
        """Take over a network that is in memory already: for good if it has no file, else as if it had been loaded."""
        if ref.file is None:
            self._resident[ref.digest] = network
        elif ref.digest not in self._loaded:
            self._make_room()
            self._loaded[ref.digest] = network

    def load(self, ref: NetworkRef) -> nn.Module:
        """The network, read if it is not in memory.

        Raises:
            UsageError: Its file is no longer what it was.
            KeyError: It has no file and was never added.
        """
        if ref.digest in self._resident or ref.file is None:
            return self._resident[ref.digest]
        if ref.digest in self._loaded:
            self._loaded.move_to_end(ref.digest)
            return self._loaded[ref.digest]
        self._make_room()
        network = self._loaded[ref.digest] = self._read(ref)
        return network

    def holds(self, ref: NetworkRef) -> bool:
        """Whether the network is in memory."""
        return ref.digest in self._resident or ref.digest in self._loaded

    def load_all(self, refs: Sequence[NetworkRef]) -> list[nn.Module]:
        """Several networks, which are in memory together; in the order given."""
        for ref in refs:
            if ref.digest in self._loaded:  # so that none of them makes room for another
                self._loaded.move_to_end(ref.digest)
        return [self.load(ref) for ref in refs]

    def _make_room(self) -> None:
        while self.budget is not None and len(self._loaded) >= self.budget:
            self._loaded.popitem(last=False)


@final
class LoadedSequence(Sequence[nn.Module]):
    """Networks that are loaded when they are looked at."""

    def __init__(self, refs: Sequence[NetworkRef], loader: NetworkLoader) -> None:
        self.refs = tuple(refs)
        self._loader = loader

    @overload
    def __getitem__(self, place: int) -> nn.Module: ...
    @overload
    def __getitem__(self, place: slice) -> "LoadedSequence": ...
    @override
    def __getitem__(self, place: int | slice) -> "nn.Module | LoadedSequence":
        if isinstance(place, slice):
            return LoadedSequence(self.refs[place], self._loader)
        return self._loader.load(self.refs[place])

    @override
    def __len__(self) -> int:
        return len(self.refs)

    def take(self, places: Sequence[int]) -> "LoadedSequence":
        """Those at the given places."""
        return LoadedSequence([self.refs[place] for place in places], self._loader)

    def in_memory(self) -> "NetworksInMemory":
        """By name those that are in memory, whenever it is looked at."""
        return NetworksInMemory(self.refs, self._loader)


@final
class NetworksInMemory(Mapping[str, nn.Module]):
    """Shows by name which of some networks are in memory, and keeps none of them there."""

    def __init__(self, refs: Sequence[NetworkRef], loader: NetworkLoader) -> None:
        self._refs, self._loader = {ref.id: ref for ref in refs}, loader

    @override
    def __getitem__(self, name: str) -> nn.Module:
        return self._loader.load(self._refs[name])

    @override
    def __iter__(self) -> Iterator[str]:
        return (name for name, ref in self._refs.items() if self._loader.holds(ref))

    @override
    def __len__(self) -> int:
        return sum(1 for _ in self)


def affordable(network: nn.Module, device: torch.device) -> int | None:
    """How many networks like `network` fit into half of the memory that is free on `device`, at least 2.

    None where that cannot be told.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _free_memory()
    return None if free is None else max(2, int(_SHARE * free / max(1, size)))


def _free_memory() -> int | None:
    """Bytes that a process may take, as Linux says; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
