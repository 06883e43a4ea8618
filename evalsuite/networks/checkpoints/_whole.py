"""Selects one of the whole networks in a trusted file."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from evalsuite.errors import RefusedInputError, UnknownNameError
from evalsuite.interpretation import Interpretation
from evalsuite.networks.attributes import structure
from evalsuite.networks.checkpoints._weight_sets import WeightSet
from evalsuite.networks.checkpoints.extras import looks_averaged


def select_whole(path: Path, sets: Sequence[WeightSet], weights: str | None) -> tuple[nn.Module, Interpretation]:
    """The network under the key `weights`; without one, the only one, or one of several that are the same.

    Raises:
        UnknownNameError: No network stands under this key.
        RefusedInputError: There are several, they differ, and no key is given.
    """
    chosen = [source for source in sets if weights in {None, source.label}]
    if not chosen:
        assert weights is not None  # noqa: S101  (else all were chosen)
        raise UnknownNameError(f"network in {path}", weights, [source.label for source in sets])
    network = chosen[0].network
    assert network is not None  # noqa: S101  (sets of whole networks only)
    rivals = [source for source in chosen[1:] if not _same(source.network, network)]
    if rivals:
        listed = ", ".join(repr(source.label) for source in (chosen[0], *rivals))
        averaged = next((source for source in rivals if looks_averaged(source.key)), rivals[-1])
        raise RefusedInputError(
            f"expected one network, got {len(rivals) + 1} that differ: {listed}: {path}; "
            f"say which, e.g. --weights {averaged.label}"
        )
    value = "the pickled network" if chosen[0].key == "" else f"the pickled network {chosen[0].label!r}"
    if weights is not None:
        return network, Interpretation(topic="weights", value=value, basis="given")
    reason = "the others in the file are the same" if len(chosen) > 1 else "the only network in the file"
    return network, Interpretation(topic="weights", value=value, basis="measured", reason=reason)


def _same(one: nn.Module | None, other: nn.Module) -> bool:
    if one is None or structure(one) != structure(other):
        return False
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(_equal(mine[name], theirs[name]) for name in mine)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return one == other
