"""What is counted and timed of a network once it is made."""

from dataclasses import dataclass
from typing import Final, Literal, final

from torch import nn

from evalsuite.facts import LatencyFacts, NetworkFacts
from evalsuite.networks.cost import Cost, cost
from evalsuite.networks.digest import network_digest
from evalsuite.networks.latency import latency
from evalsuite.networks.memory import peak_megabytes


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
    role: Literal["parent", "pruned", "control"]
    family: str | None = None
    pruner: str | None = None
    structure: str | None = None
    target: float | None = None
    seed: int = 0


_OPERATIONS: Final = 2**31
"""Multiplications of a timed large batch of the parent, at most: well under a second on one core."""


def describe(
    network: nn.Module, made: Made, *, whole: Cost, shape: tuple[int, int, int], file: str | None = None
) -> NetworkFacts:
    """Counts and times `network` on images of `shape`; ratios are to `whole`, the parent's cost.

    `file` is where the network is kept, relative to the run folder.
    """
    counted, many = cost(network, shape), _large_batch(whole)
    return NetworkFacts(
        id=made.id,
        family=made.family,
        role=made.role,
        digest=network_digest(network),
        pruner=made.pruner,
        structure=made.structure,
        target_ratio=made.target,
        prune_ratio=1 - counted.prunable_nonzero / whole.prunable,
        flop_reduction=1 - counted.flops / whole.flops,
        parameters=counted.parameters,
        nonzero=counted.nonzero,
        prunable=counted.prunable,
        prunable_nonzero=counted.prunable_nonzero,
        flops=counted.flops,
        dense_flops=counted.dense_flops,
        megabytes=counted.megabytes,
        peak_megabytes=peak_megabytes(network, shape),
        latency_ms=_latency(network, shape, batch=1, runs=50),
        throughput_ms=_latency(network, shape, batch=many, runs=12),
        seed=made.seed,
        file=file,
    )


def _large_batch(whole: Cost) -> int:
    """Images of the large batch that is timed: the same for a whole family, a power of two up to 64."""
    fits = _OPERATIONS // max(1, whole.dense_flops)
    return 1 << (min(64, max(1, fits)).bit_length() - 1)


def _latency(network: nn.Module, shape: tuple[int, int, int], *, batch: int, runs: int) -> LatencyFacts:
    timed = latency(network, shape, batch=batch, runs=runs)
    return LatencyFacts(median=timed.median * 1e3, low=timed.low * 1e3, high=timed.high * 1e3, n=timed.n, batch=batch)
