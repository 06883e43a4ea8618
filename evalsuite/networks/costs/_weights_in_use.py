"""Counts the entries of prunable weights that a forward pass uses, and how many of those are zero."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn

from neuralnets.forward_pass import Use
from neuralnets.weights import is_prunable_weight

_PARAMETRIZED: Final = ".parametrizations."


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class InUse:
    """Counts for one weight that a forward pass uses.

    Attributes:
        sources: The parameters that it is computed from; one that is used as it is stored has itself.
        entries: How many of its entries are used.
        nonzero: How many of those are not exactly zero.
    """

    sources: frozenset[str]
    entries: int
    nonzero: int


@final
class Nonzeros:
    """Counts nonzero entries, once for tensors that share them: of large networks that takes longest."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int], tuple[Tensor, int]] = {}

    def __call__(self, tensor: Tensor) -> int:
        """How many entries are not exactly zero."""
        if not _is_dense(tensor) or tensor.data_ptr() == 0:  # a wrapper's address tells nothing
            return int(torch.count_nonzero(tensor))
        key = (tensor.data_ptr(), tensor.numel())
        if key not in self._counts:
            self._counts[key] = (tensor, int(torch.count_nonzero(tensor)))  # kept, so that no address is given twice
        return self._counts[key][1]


def prunable_names(network: nn.Module) -> frozenset[str]:
    """Parameters of which the weights of convolutions, linear and recurrent layers and attention are made.

    Under the first name of each, as `named_parameters` gives it; what masks and parametrizations keep counts too.
    """
    first = {id(parameter): name for name, parameter in network.named_parameters()}
    modules = dict(network.named_modules(remove_duplicate=False))
    names = set()
    for name, parameter in network.named_parameters(remove_duplicate=False):
        owner, _, last = name.rpartition(".")
        if _PARAMETRIZED in f".{name}":
            owner, _, rest = f".{name}".rpartition(_PARAMETRIZED)
            owner, last = owner.removeprefix("."), rest.partition(".")[0]
        plain = last.removesuffix("_orig").removesuffix("_g").removesuffix("_v")
        if is_prunable_weight(modules[owner], plain):
            names.add(first[id(parameter)])
    return frozenset(names)


def weights_in_use(
    uses: Sequence[Use], parameters: Mapping[str, Tensor], prunable: frozenset[str], nonzeros: Nonzeros
) -> list[InUse]:
    """Every weight of `uses` that is made of `prunable` parameters, each entry once however often it is used."""
    groups: dict[frozenset[str], list[Use]] = {}
    for use in uses:
        if use.sources & prunable:
            groups.setdefault(use.sources, []).append(use)
    weights: list[InUse] = []
    counted: set[str] = set()
    # what is stored as it is used comes first: copies of it in another type are the same weight
    for sources, same in sorted(groups.items(), key=lambda item: (not item[1][0].stored, len(item[0]))):
        learnt = sources & prunable
        if learnt <= counted:
            continue
        counted |= learnt
        whole = sum(parameters[name].numel() for name in learnt)
        stored = [use for use in same if use.stored]
        entries, nonzero = _count_stored(stored, nonzeros) if stored else _count_computed(same, whole)
        weights.append(InUse(sources=sources, entries=entries, nonzero=nonzero))
    return weights


def _count_stored(uses: Sequence[Use], nonzeros: Nonzeros) -> tuple[int, int]:
    """Entries and nonzeros of the union of views of one parameter."""
    largest = max(uses, key=lambda use: use.weight.numel())
    if all(_covers(largest.weight, use.weight) for use in uses):
        return largest.weight.numel(), nonzeros(largest.weight)
    flat = largest.weight.as_strided(
        (largest.weight.untyped_storage().nbytes() // largest.weight.element_size(),), (1,), 0
    )
    taken = torch.zeros_like(flat, dtype=torch.bool)
    for use in uses:
        taken.as_strided(use.weight.shape, use.weight.stride(), use.weight.storage_offset()).fill_(1)
    return int(taken.sum()), int(torch.count_nonzero(flat[taken]))


def _covers(large: Tensor, small: Tensor) -> bool:
    """Whether two dense views begin at the same place and have as many entries: the same ones, in whatever order."""
    layouts = [sorted(zip(each.stride(), each.shape, strict=True)) for each in (large, small)]
    same_place = bool(large.storage_offset() == small.storage_offset())
    return same_place and layouts[0] == layouts[1] and _is_dense(large)


def _is_dense(tensor: Tensor) -> bool:
    """Whether a view has every entry of a stretch of memory once, in whatever order of its dimensions."""
    reach = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and stride != reach:
            return False
        reach *= size
    return True


def _count_computed(uses: Sequence[Use], whole: int) -> tuple[int, int]:
    """Entries and nonzeros of what is computed from parameters of `whole` entries; equal weights count once."""
    distinct = list(_distinct(uses))
    entries = sum(weight.numel() for weight in distinct)
    nonzero = sum(int(torch.count_nonzero(weight)) for weight in distinct)
    if entries <= whole:
        return entries, nonzero
    return whole, round(nonzero * whole / entries)  # one weight, repeated


def _distinct(uses: Sequence[Use]) -> Iterator[Tensor]:
    kept: list[Tensor] = []
    for use in uses:
        if not any(each.shape == use.weight.shape and torch.equal(each, use.weight) for each in kept):
            kept.append(use.weight)
            yield use.weight
