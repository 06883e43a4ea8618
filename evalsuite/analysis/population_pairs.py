"""Who is shown what was observed of whom, and what came of it: the matrix of Lost in Pruning (2021), section 4."""

from collections.abc import Sequence

import numpy as np

from evalsuite.analysis.evidence import Evidence
from evalsuite.records.facts import NetworkFacts, TaskFacts
from evalsuite.records.store import Column
from evalsuite.statistics.betting import interval

WHOLE = 20
"""Networks up to which each is shown every other's observations."""
Row = dict[str, object]


def sources(networks: Sequence[NetworkFacts]) -> list[NetworkFacts]:
    """Networks whose observations the others are shown: parent, families by prune ratio, controls.

    Beyond `WHOLE` networks they are the parent, the first family, and controls that stand beside no single network.
    """
    parents = [network for network in networks if network["role"] == "parent"]
    pruned = [network for network in networks if network["role"] == "pruned"]
    controls = [network for network in networks if network["role"] == "control"]
    families = list(dict.fromkeys(network["family"] for network in pruned))
    pruned.sort(key=lambda network: (families.index(network["family"]), network["prune_ratio"] or 0.0))
    if len(networks) <= WHOLE:
        return [*parents, *pruned, *controls]
    first = [network for network in pruned if network["family"] == families[0]]
    return [*parents, *first, *(network for network in controls if network["target_ratio"] is None)]


def pairs(networks: Sequence[NetworkFacts]) -> list[tuple[NetworkFacts, NetworkFacts]]:
    """(of, to): the sources' observations among each other, and the parent's to all networks."""
    known = sources(networks)
    names = {network["id"] for network in known}
    others = [network for network in networks if network["id"] not in names]
    return [(of, to) for of in known for to in (*known, *(others if of["role"] == "parent" else ()))]


def pair_count(networks: int, family: int) -> int:
    """About how many pairs a plan of so many networks has, of which `family` are the first family's."""
    among = networks if networks <= WHOLE else min(networks, 1 + family)
    return among * (among - 1) + networks - among


def features(evidence: Evidence) -> list[Row]:
    """Rows of `results.json`: by task and pair, the mean confidence toward the true class and its interval."""
    asked = [task for task in evidence.tasks if task["kind"] == "features" and not task["unavailable"]]
    return [_row(evidence, task, of, to) for task in asked for of, to in pairs(evidence.networks)]


def _row(evidence: Evidence, task: TaskFacts, of: NetworkFacts, to: NetworkFacts) -> Row:
    level = evidence.meta["run"]["confidence"]
    row: Row = {"task": task["name"], "pixels_from": of["id"], "seen_by": to["id"], "confidence": level}
    values = _seen(evidence, task, of, to)
    if values is None:
        return {**row, "n": None, "value": None, "low": None, "high": None, "reason": "not evaluated yet"}
    if not np.isfinite(values).all():
        reason = "the network puts out numbers that are not finite"
        return {**row, "n": None, "value": None, "low": None, "high": None, "reason": reason}
    # softmax in 32 bits can come out a rounding error above 1
    found = np.clip(values.astype(np.float64), 0.0, 1.0)
    ends = interval(found, confidence=level)
    return {**row, "n": len(found), "value": float(found.mean()), "low": ends.low, "high": ends.high, "reason": None}


def _seen(evidence: Evidence, task: TaskFacts, of: NetworkFacts, to: NetworkFacts) -> Column | None:
    if of["digest"] == to["digest"]:
        stored = evidence.stored(task, to)
        return None if stored is None else stored.own["own_confidence"]
    found = evidence.crossed(task, to, of)
    return None if found is None else found["lent_confidence"]
