"""What is counted and timed of a network once it is made."""

from dataclasses import dataclass
from typing import Literal, final

from torch import nn

from evalsuite.facts import LatencyFacts, NetworkFacts
from evalsuite.networks.cost import Cost, cost
from evalsuite.networks.digest import network_digest
from evalsuite.networks.latency import latency


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


def describe(
    network: nn.Module, made: Made, *, whole: Cost, shape: tuple[int, int, int], file: str | None = None
) -> NetworkFacts:
    """Counts and times `network` on images of `shape`; ratios are to `whole`, the parent's cost.

    `file` is where the network is kept, relative to the run folder.
    """
    counted, timed = cost(network, shape), latency(network, shape)
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
        latency_ms=LatencyFacts(
            median=timed.median * 1e3, low=timed.low * 1e3, high=timed.high * 1e3, n=timed.n, batch=1
        ),
        seed=made.seed,
        file=file,
    )
