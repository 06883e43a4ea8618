"""Lists the names that a network gives to its tensors, and those that a checkpoint may lack."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from neuralnets.layers import TRANSPOSED

COUNTER = "num_batches_tracked"
"""How many batches a batch norm has met: nothing that an evaluation computes with."""


@final
@dataclass(frozen=True, kw_only=True)
class Layout:
    """The tensors of a network by name.

    Attributes:
        names: Of the tensors that its state_dict has, counters of batch norms left out.
        counters: Names of those.
        parameters: Names of those that are learnt.
        tied: Names of tensors that have several → the first of these.
        transient: Buffers that no state_dict keeps, by name: constants that the constructor makes.
        children: Names of the modules at the top, and of the tensors there.
        transposed: Names of weights whose second axis is the output.
    """

    names: tuple[str, ...]
    counters: frozenset[str]
    parameters: frozenset[str]
    tied: Mapping[str, str]
    transient: Mapping[str, Tensor]
    children: frozenset[str]
    transposed: frozenset[str]


def layout(network: nn.Module) -> Layout:
    """The layout of `network`; tensors of `transient` are not copied."""
    state = [name for name, value in network.state_dict().items() if isinstance(value, Tensor)]
    kept = frozenset(state)
    learnt = frozenset(name for name, _ in network.named_parameters(remove_duplicate=False))
    counters = frozenset(name for name in state if last(name) == COUNTER)
    return Layout(
        names=tuple(name for name in state if name not in counters),
        counters=counters,
        parameters=learnt & kept,
        tied=_tied(network, kept),
        transient={name: buffer for name, buffer in network.named_buffers() if name not in kept},
        children=frozenset({name for name, _ in network.named_children()} | {first(name) for name in state}),
        transposed=frozenset(
            f"{name}.weight" if name else "weight"
            for name, module in network.named_modules()
            if isinstance(module, TRANSPOSED)
        ),
    )


def _tied(network: nn.Module, kept: frozenset[str]) -> dict[str, str]:
    groups: dict[int, list[str]] = {}
    for name, tensor in (
        *network.named_parameters(remove_duplicate=False),
        *network.named_buffers(remove_duplicate=False),
    ):
        if name in kept:
            groups.setdefault(id(tensor), []).append(name)
    return {name: names[0] for names in groups.values() if len(names) > 1 for name in names}


def first(name: str) -> str:
    """The part of a dotted name before the first dot."""
    return name.partition(".")[0]


def last(name: str) -> str:
    """The part behind the last dot."""
    return name.rpartition(".")[2]
