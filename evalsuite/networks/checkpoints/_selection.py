"""Selects the set of weights in a file that is the network's: the one that fits, or the one that the user names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import torch
from torch import Tensor, nn

from evalsuite.errors import RefusedInputError, UnknownNameError, UsageError
from evalsuite.interpretation import Interpretation
from evalsuite.networks.checkpoints._alignment import Aligned, alignments
from evalsuite.networks.checkpoints._explanation import explain
from evalsuite.networks.checkpoints._upgrade import upgraded
from evalsuite.networks.checkpoints._weight_sets import WeightSet
from evalsuite.networks.checkpoints._widths import narrow
from evalsuite.networks.checkpoints.extras import looks_averaged

_MOST_LISTED: Final = 8


@final
@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One reading of one set of weights.

    Attributes:
        source: The set.
        aligned: Its tensors under the names of the network.
        upgrade: What brought old names up to date; empty where nothing had to.
    """

    source: WeightSet
    aligned: Aligned
    upgrade: str = ""

    @property
    def label(self) -> str:
        """What `--weights` takes: the keys that lead to the set and the prefix in it, joined by dots."""
        return ".".join(filter(None, [self.source.key, self.aligned.prefix.removesuffix(".")])) or "."


@final
@dataclass(frozen=True, kw_only=True)
class Selection:
    """The weights of a network.

    Attributes:
        candidate: Where they stand.
        interpretation: Why these.
    """

    candidate: Candidate
    interpretation: Interpretation


def select(path: Path, sets: Sequence[WeightSet], network: nn.Module, *, arch: str, weights: str | None) -> Selection:
    """The set of weights of a file that is to fill `network`.

    Args:
        path: The file, for messages.
        sets: All that it holds.
        network: As its architecture builds it.
        arch: The architecture, for messages.
        weights: What the user says: keys joined by dots, whole or the first or last of them; None: not said.

    Raises:
        UsageError: None fits, or none stands under `weights`.
        RefusedInputError: Several fit and hold different numbers.
    """
    candidates = _candidates(sets, network)
    fitting = _fitting(candidates, network) or _fitting(list(_upgraded(candidates, network)), network)
    chosen = fitting if weights is None else _named(fitting, weights)
    if not chosen:
        raise _nothing_fits(path, candidates, network, arch, weights)
    # numbers that are not finite are refused later on, and are no rivals of themselves
    rivals = [one for one in chosen[1:] if not _same(one, chosen[0])]
    if rivals:
        raise RefusedInputError(_ambiguous(path, [chosen[0], *rivals], fitting))
    best = min(chosen, key=lambda one: len(one.aligned.missing))
    if weights is None:
        _refuse_larger(path, best, candidates, network)
        _refuse_averaged(path, best, fitting, sets)
    return Selection(candidate=best, interpretation=_reading(best, fitting, weights))


def class_count(sets: Sequence[WeightSet], probe: nn.Module, width: int, *, weights: str | None) -> int | None:
    """How many classes the file's classifier tells apart: the rows of the tensors that grow with their number.

    Args:
        sets: All sets of weights of the file.
        probe: The architecture, built for `width` classes, a number that no other width of it has.
        width: See there.
        weights: As for `select`.
    """
    grown = [name for name, tensor in probe.state_dict().items() if tensor.ndim and len(tensor) == width]
    candidates = sorted(_candidates(sets, probe), key=lambda one: not one.aligned.complete)
    for candidate in candidates if weights is None else _named(candidates, weights):
        tensors = candidate.aligned.tensors
        counts = {len(tensors[name]) for name in grown if name in tensors and tensors[name].ndim}
        if len(counts) == 1:
            return counts.pop()
    return None


def _candidates(sets: Sequence[WeightSet], network: nn.Module) -> list[Candidate]:
    return [
        Candidate(source=source, aligned=aligned)
        for source in sets
        if source.network is None
        for aligned in alignments(source.tensors, network)
    ]


def _fitting(candidates: Sequence[Candidate], network: nn.Module) -> list[Candidate]:
    complete = [one for one in candidates if one.aligned.complete]
    if len(complete) < 2:
        return complete
    shaped = [one for one in complete if not narrow(network, _shapes(one.aligned)).misshapen]
    return shaped or complete


def _shapes(aligned: Aligned) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in aligned.tensors.items()}


def _upgraded(candidates: Sequence[Candidate], network: nn.Module) -> Iterator[Candidate]:
    """Those of about the network's size whose names its own library knows how to bring up to date."""
    wanted = len(network.state_dict())
    for candidate in candidates:
        if 2 * len(candidate.source.tensors) < wanted:
            continue
        for how, aligned in upgraded(candidate.source, candidate.aligned, network):
            yield Candidate(source=candidate.source, aligned=aligned, upgrade=how)


def _named(candidates: Sequence[Candidate], weights: str) -> list[Candidate]:
    """Those that stand at these keys, under them, or whose keys end with them; the first of these that are any."""
    key = weights.rstrip(".") or "."
    whole = [one for one in candidates if one.label == key]
    under = [one for one in candidates if one.label.startswith(f"{key}.")]
    within = [one for one in candidates if f".{key}." in f"{one.label}."]
    return whole or under or within


def _nothing_fits(
    path: Path, candidates: Sequence[Candidate], network: nn.Module, arch: str, weights: str | None
) -> UsageError:
    within = candidates if weights is None else _named(candidates, weights)
    if weights is not None and not within:
        labels = [one.label for one in candidates if one.aligned.complete] or [one.label for one in candidates]
        return UnknownNameError(f"set of weights in {path}", weights, labels[:_MOST_LISTED])
    nearest = max(within, key=lambda one: (len(one.aligned.tensors), len(one.source.tensors)))
    misshapen = narrow(network, _shapes(nearest.aligned)).misshapen
    return UsageError(explain(nearest.aligned, misshapen, arch))


def _same(one: Candidate, other: Candidate) -> bool:
    mine, theirs = one.aligned.tensors, other.aligned.tensors
    # counts of batches are no part of what an evaluation computes
    names = [name for name in mine.keys() & theirs.keys() if not name.endswith("num_batches_tracked")]
    return all(_equal(mine[name], theirs[name]) for name in names)


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def _ambiguous(path: Path, rivals: Sequence[Candidate], fitting: Sequence[Candidate]) -> str:
    listed = ", ".join(f"{_key(one, fitting)!r} ({len(one.aligned.tensors)} tensors)" for one in rivals[:_MOST_LISTED])
    averaged = next((one for one in rivals if looks_averaged(one.label)), rivals[-1])
    return (
        f"expected one set of weights, got {len(rivals)} that fit the network and differ: {listed}: {path}; "
        f"say which, e.g. --weights {_key(averaged, fitting)}"
    )


def _key(candidate: Candidate, fitting: Sequence[Candidate]) -> str:
    """The shortest way to name it among those that fit."""
    key = candidate.source.key
    return key if key and len(_named(fitting, key)) == 1 else candidate.label


def _refuse_larger(path: Path, best: Candidate, candidates: Sequence[Candidate], network: nn.Module) -> None:
    """Raises RefusedInputError where another set has the network too, with other numbers and layers beside it."""
    for one in candidates:
        whole = not one.aligned.learnt and not narrow(network, _shapes(one.aligned)).misshapen
        if whole and one.aligned.beside.unexpected and not _same(one, best):
            more = ", ".join(one.aligned.beside.unexpected[:3])
            raise RefusedInputError(
                f"expected one set of weights, got {best.label!r}, which fits the network, and {one.label!r}, which "
                f"has all of its tensors with other numbers, and layers that it does not have ({more}): {path}; say "
                f"--weights {best.label} to take the former"
            )


def _refuse_averaged(path: Path, best: Candidate, fitting: Sequence[Candidate], sets: Sequence[WeightSet]) -> None:
    """Raises RefusedInputError where the file holds averaged weights in a form that is not read."""
    read = {id(one.source) for one in fitting}
    others = [
        f"{source.key}.{name}" if source.key else name
        for source in sets
        if id(source) not in read
        for name, tensor in source.tensors.items()
        if tensor.is_floating_point() and tensor.ndim > 1
    ]
    averaged = [name for name in (*others, *best.aligned.beside.weighty) if looks_averaged(name)]
    if averaged:
        raise RefusedInputError(
            f"expected sets of weights that can be told apart, got {best.label!r} and what looks like averaged "
            f"weights, which do not fit the network as they stand ({', '.join(averaged[:3])}, ...): {path}; "
            f"say --weights {best.label} to take the former"
        )


def _reading(best: Candidate, fitting: Sequence[Candidate], weights: str | None) -> Interpretation:
    value = f"{best.label!r}" if best.label != "." else "the whole file"
    if weights is not None:
        return Interpretation(topic="weights", value=value, basis="given", option=f"--weights {best.label}")
    equal = [one.label for one in fitting if one is not best and _same(one, best)]
    reason = (
        f"{', '.join(map(repr, equal))} beside it has the same numbers"
        if equal
        else "the only set of weights in the file that fits the network"
    )
    return Interpretation(
        topic="weights", value=value, basis="measured", reason=reason, option=f"--weights {best.label}"
    )
