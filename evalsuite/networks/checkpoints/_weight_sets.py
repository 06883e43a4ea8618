"""Finds sets of weights in a checkpoint's contents: mappings from names to tensors, and whole networks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from torch import Tensor, nn

# deeper than any framework nests its weights
_DEPTH: Final = 3
_MOST_ENTRIES: Final = 10**6


@final
@dataclass(frozen=True, kw_only=True)
class WeightSet:
    """Tensors by name, or a whole network, at one place of a file.

    Attributes:
        key: The keys that lead to it, joined by dots; empty for the file itself.
        tensors: By name; empty where `network` is given.
        others: Names of what stands among the tensors and is none.
        metadata: What torch writes beside a state_dict: module name → the version that its names follow, among others.
        network: Unpickled as a whole, from a file that is trusted.
    """

    key: str
    tensors: Mapping[str, Tensor]
    others: tuple[str, ...] = ()
    metadata: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    network: nn.Module | None = None

    @property
    def label(self) -> str:
        """The key as a user writes it; a dot for the file itself."""
        return self.key or "."


def weight_sets(loaded: object) -> tuple[WeightSet, ...]:
    """All of them, outermost first.

    Args:
        loaded: What was unpickled.

    Raises:
        ValueError: It has more entries than any checkpoint.
    """
    return tuple(_walk(loaded, (), iter(range(_MOST_ENTRIES))))


def _walk(value: object, path: tuple[str, ...], budget: Iterator[int]) -> Iterator[WeightSet]:
    if next(budget, None) is None:
        raise ValueError(f"expected a checkpoint with fewer than {_MOST_ENTRIES} entries, got more")
    if isinstance(value, nn.Module):
        yield WeightSet(key=".".join(path), tensors={}, network=value)
        return
    entries = _entries(value)
    tensors = {name: entry for name, entry in entries.items() if isinstance(entry, Tensor)}
    if tensors:
        yield WeightSet(
            key=".".join(path),
            tensors=tensors,
            others=tuple(name for name, entry in entries.items() if name not in tensors and not _nests(entry)),
            metadata=_metadata(value),
        )
    if len(path) < _DEPTH:
        for name, entry in entries.items():
            if _nests(entry):
                yield from _walk(entry, (*path, name), budget)


def _entries(value: object) -> dict[str, object]:
    if isinstance(value, Mapping):
        # optimisers number what they keep
        return {name: entry for name, entry in value.items() if isinstance(name, str)}
    if isinstance(value, Sequence):
        return {str(position): entry for position, entry in enumerate(value)}
    return {}


def _nests(value: object) -> bool:
    return isinstance(value, Mapping | Sequence | nn.Module) and not isinstance(value, str | bytes)


def _metadata(value: object) -> Mapping[str, Mapping[str, object]]:
    kept = getattr(value, "_metadata", None)
    if not isinstance(kept, Mapping):
        return {}
    return {str(name): dict(entry) for name, entry in kept.items() if isinstance(entry, Mapping)}
