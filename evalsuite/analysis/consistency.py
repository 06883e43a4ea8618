"""Checks of consistency in every run: what is certified survives every attack in the ball, and was right before."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from evalsuite.analysis.evidence import Evidence
from evalsuite.records.schema import Invariant
from evalsuite.records.stored import StoredNetwork, StoredTask

Right = npt.NDArray[np.bool_]
_TIES = 0.001
"""Share of examples, or one, that may be right under attack and wrong without: equal logits, rounded by batch."""


def check_consistency(evidence: Evidence) -> tuple[Invariant, ...]:
    """Every pair of tasks of which one contains the other, for every network that was available both."""
    return tuple(
        _compared(network.id, inner, outer, first, second)
        for inner, outer in _pairs(evidence.tasks)
        for network in evidence.networks
        for first, second in [[_right(evidence, task, network) for task in (inner, outer)]]
        if first is not None and second is not None
    )


def _pairs(tasks: list[StoredTask]) -> Iterator[tuple[StoredTask, StoredTask]]:
    """Certified ⊆ survives an attack in no larger a ball of the same norm ⊆ right on the image itself."""
    available = [task for task in tasks if not task.unavailable]
    for inner in available:
        for outer in available:
            attacked = inner.kind == "bounds" and outer.kind == "adversarial" and _inside(inner, outer)
            clean = inner.kind in {"bounds", "adversarial"} and outer.kind == "clean"
            if attacked or clean:
                yield inner, outer


def _inside(certified: StoredTask, attacked: StoredTask) -> bool:
    ours, theirs = certified.parameters, attacked.parameters
    return ours["norm"] == theirs["norm"] and float(str(theirs["eps"])) <= float(str(ours["eps"]))


def _right(evidence: Evidence, task: StoredTask, network: StoredNetwork) -> Right | None:
    stored = evidence.stored(task, network)
    return None if stored is None else np.asarray(stored.columns["prediction"] == evidence.labels(task), dtype=np.bool_)


def _compared(network: str, inner: StoredTask, outer: StoredTask, first: Right, second: Right) -> Invariant:
    # both tasks take the run's examples from the first on
    n = min(len(first), len(second))
    first, second = first[:n], second[:n]
    violations = int((first & ~second).sum())
    allowed = max(1.0, _TIES * n) if outer.kind == "clean" else 0.0
    return Invariant(
        network=network,
        inner=inner.name,
        outer=outer.name,
        n=n,
        inner_right=int(first.sum()),
        outer_right=int(second.sum()),
        violations=violations,
        broken=violations > allowed,
    )
