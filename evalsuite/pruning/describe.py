"""What is counted of a network once it is made."""

from dataclasses import dataclass
from typing import Final, final

from torch import nn

from evalsuite.networks.costs.cost import Cost, cost
from evalsuite.networks.costs.memory import peak_megabytes
from evalsuite.networks.digest import network_digest
from evalsuite.networks.programs.program import Artefact, artefact_in
from evalsuite.records.schema import Role
from evalsuite.records.stored import StoredNetwork

PARENT: Final = "parent"
"""The unpruned network's name in results."""
COUNTING: Final = "counting its parameters and operations"
"""What is done, as messages begin."""


@final
@dataclass(frozen=True, kw_only=True)
class Made:
    """How a network came about.

    Attributes:
        id: Its name in results.
        role: What it is there for.
        family: Pruner and seed; None outside families.
        pruner: Name of the pruner.
        structure: What the pruner removes as one: "weights" or "channels".
        target: The prune ratio that was asked for.
        seed: The family's.
    """

    id: str
    role: Role
    family: str | None = None
    pruner: str | None = None
    structure: str | None = None
    target: float | None = None
    seed: int = 0


def counted(network: nn.Module, shape: tuple[int, int, int]) -> Cost | None:
    """What `network` costs for one image of `shape`; None for files that do not tell it."""
    artefact = artefact_in(network)
    return cost(network, shape) if artefact is None else artefact.info.cost


def describe(
    network: nn.Module,
    made: Made,
    *,
    whole: Cost | None,
    shape: tuple[int, int, int],
    file: str | None = None,
    sha256: str | None = None,
) -> StoredNetwork:
    """Counts of `network` on images of `shape`; ratios are to `whole`, the parent's cost.

    `file` is where the network is kept, relative to the run folder; `sha256` is that of the file that it is kept in or
    was read from. What cannot be told is None, with the reason. Times are None until all networks of the run are there,
    to be timed together.
    """
    cost, artefact = counted(network, shape), artefact_in(network)
    both = None if cost is None or whole is None or not whole.prunable or not whole.flops else (cost, whole)
    return StoredNetwork(
        id=made.id,
        family=made.family,
        role=made.role,
        digest=network_digest(network, shape),
        pruner=made.pruner,
        structure=made.structure,
        target_ratio=made.target,
        prune_ratio=both and 1 - both[0].prunable_nonzero / both[1].prunable,
        flop_reduction=both and 1 - both[0].flops / both[1].flops,
        parameters=cost and cost.parameters,
        nonzero=cost and cost.nonzero,
        prunable=cost and cost.prunable,
        prunable_nonzero=cost and cost.prunable_nonzero,
        flops=cost and cost.flops,
        dense_flops=cost and cost.dense_flops,
        megabytes=_megabytes(cost, artefact),
        peak_megabytes=_peak(network, shape, artefact),
        latency_ms=None,
        throughput_ms=None,
        uncounted=_uncounted(artefact, cost, whole),
        seed=made.seed,
        file=file,
        sha256=sha256,
    )


def _peak(network: nn.Module, shape: tuple[int, int, int], artefact: Artefact | None) -> float | None:
    """None where the memory is not torch's."""
    return None if artefact is not None and artefact.info.kind == "onnx" else peak_megabytes(network, shape)


def _megabytes(cost: Cost | None, artefact: Artefact | None) -> float:
    """Of a file its size, of other networks that of their tensors."""
    if artefact is not None:
        return artefact.info.megabytes
    assert cost is not None  # noqa: S101 - only files are not counted
    return cost.megabytes


def _uncounted(artefact: Artefact | None, cost: Cost | None, whole: Cost | None) -> str | None:
    if cost is None:
        return None if artefact is None else artefact.info.uncounted
    if whole is None:
        return "ratios are to the parent's counts, which cannot be told"
    return None if whole.prunable and whole.flops else "a forward pass of the parent uses no prunable weight"
