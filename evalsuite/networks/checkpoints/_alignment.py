"""Matches the tensors of a file with those of a network: under which prefix they stand, what stands beside them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import final

import torch
from torch import Tensor, nn

from evalsuite.networks.architectures.by_name import BUILT_IN, build
from evalsuite.networks.checkpoints._layout import Layout, layout
from evalsuite.networks.checkpoints._spellings import Spelling, spellings
from evalsuite.networks.checkpoints.extras import Beside, sort_out


@final
@dataclass(frozen=True, kw_only=True)
class Aligned:
    """Tensors of a file under the names of a network.

    Attributes:
        prefix: What stands before all of the network's names in the file, its last dot included; often empty.
        tensors: What both have, by the network's names.
        missing: What only the network has, counters of batch norms left out.
        learnt: Those of `missing` that are parameters.
        renamed: Name in the network → name in the file, for names that a rule for other writers changed.
        beside: What only the file has, other networks of the same kind left out.
        names: All of the file's names, as they were read.
    """

    prefix: str
    tensors: Mapping[str, Tensor]
    missing: tuple[str, ...]
    learnt: tuple[str, ...]
    renamed: Mapping[str, str]
    beside: Beside
    names: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every parameter of the network is there, and no layer that it does not have."""
        return not (self.learnt or self.beside.unexpected)


def alignments(tensors: Mapping[str, Tensor], network: nn.Module) -> tuple[Aligned, ...]:
    """Every reading of the file's names that gives all of the network's parameters; else the nearest one alone.

    Several, where one file holds several networks under prefixes of their own, e.g. raw and averaged weights.
    """
    return _alignments(tensors, layout(network))


def align(tensors: Mapping[str, Tensor], network: nn.Module) -> Aligned:
    """The first of them: the shortest prefix that leaves no layer over."""
    return min(alignments(tensors, network), key=lambda one: (not one.complete, len(one.prefix)))


def nearest(names: tuple[str, ...]) -> tuple[str, ...]:
    """Built-in architectures whose tensors have exactly the given names."""
    blanks = {name: torch.empty(0) for name in names}
    variants = [*BUILT_IN, *(f"{name}?shortcut=padding" for name in BUILT_IN if name.startswith("resnet"))]
    return tuple(
        arch
        for arch in variants
        if any(not (one.missing or one.beside.names) for one in _alignments(blanks, _built_in(arch)))
    )


@cache
def _built_in(arch: str) -> Layout:
    with torch.device("meta"):
        return layout(build(arch, classes=10, channels=3, image_size=32))


def _alignments(tensors: Mapping[str, Tensor], wanted: Layout) -> tuple[Aligned, ...]:
    best: Aligned | None = None
    for spelling in spellings(tensors, wanted):
        readings = tuple(_readings(spelling, wanted))
        full = tuple(one for one in readings if not one.learnt)
        if full:
            return full
        for one in readings:
            if best is None or len(one.missing) < len(best.missing):
                best = one
    assert best is not None  # noqa: S101  (every spelling has at least one reading)
    return (best,)


def _readings(spelling: Spelling, wanted: Layout) -> Iterator[Aligned]:
    """One for each prefix with all parameters, else for the prefix under which most names stand."""
    learnt, all_names = defaultdict[str, set[str]](set), Counter[str]()
    everything = frozenset(wanted.names)
    for name in spelling.tensors:
        for prefix, rest in _cuts(name):
            all_names[prefix] += rest in everything
            if rest in wanted.parameters:
                # one name of a tensor that stands under two is enough
                learnt[prefix].add(wanted.tied.get(rest, rest))
    needed = {wanted.tied.get(name, name) for name in wanted.parameters}
    full = [prefix for prefix, present in learnt.items() if present == needed]
    fallback = max(all_names, key=lambda prefix: (all_names[prefix], -len(prefix)), default="")
    for prefix in full or [fallback]:
        yield _read(spelling, prefix, wanted, tuple(each for each in full if not prefix.startswith(each)))


def _cuts(name: str) -> Iterator[tuple[str, str]]:
    position = 0
    while True:
        yield name[:position], name[position:]
        position = name.find(".", position) + 1
        if not position:
            return


def _read(spelling: Spelling, prefix: str, wanted: Layout, others: tuple[str, ...]) -> Aligned:
    """The reading under `prefix`; what stands under `others` is read for itself."""
    under = {name.removeprefix(prefix): tensor for name, tensor in spelling.tensors.items() if name.startswith(prefix)}
    names = {*wanted.names, *wanted.counters}
    shared = {wanted.tied[name] for name in under if name in wanted.tied}
    missing = tuple(name for name in wanted.names if name not in under and wanted.tied.get(name) not in shared)
    matched = {name: tensor for name, tensor in under.items() if name in names}
    inside = {f"{prefix}{name}" for name in matched}
    return Aligned(
        prefix=prefix,
        tensors=matched,
        missing=missing,
        learnt=tuple(name for name in missing if name in wanted.parameters),
        renamed={
            new.removeprefix(prefix): old
            for new, old in spelling.renamed.items()
            if new.startswith(prefix) and new.removeprefix(prefix) in names
        },
        beside=sort_out(
            {n: tensor for n, tensor in spelling.tensors.items() if n not in inside and not n.startswith(others)},
            matched,
            prefix,
            wanted,
        ),
        names=tuple(spelling.tensors),
    )
