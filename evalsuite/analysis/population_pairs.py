"""Pairs of networks of which one sees the informative pixels of the other: Lost in Pruning (2021), section 4."""

from collections.abc import Sequence

import numpy as np

from evalsuite.analysis.evidence import Evidence
from evalsuite.records.packing import Column
from evalsuite.records.schema import Feature
from evalsuite.records.stored import StoredNetwork, StoredTask
from evalsuite.statistics.betting import interval

WHOLE = 20
"""Networks up to which each is shown every other's observations."""


def sources(networks: Sequence[StoredNetwork]) -> list[StoredNetwork]:
    """Networks whose observations the others are shown: parent, families by prune ratio, controls.

    Beyond `WHOLE` networks they are the parent, the first family, and controls that stand beside no single network.
    """
    parents = [network for network in networks if network.role == "parent"]
    pruned = [network for network in networks if network.role == "pruned"]
    controls = [network for network in networks if network.role == "control"]
    families = list(dict.fromkeys(network.family for network in pruned))
    pruned.sort(key=lambda network: (families.index(network.family), network.prune_ratio or 0.0))
    if len(networks) <= WHOLE:
        return [*parents, *pruned, *controls]
    first = [network for network in pruned if network.family == families[0]]
    return [*parents, *first, *(network for network in controls if network.target_ratio is None)]


def pairs(networks: Sequence[StoredNetwork]) -> list[tuple[StoredNetwork, StoredNetwork]]:
    """List which network is shown the informative pixels of which: (source of the pixels, viewer).

    Sources see each other's; every other network sees the parent's.
    """
    lending = sources(networks)
    names = {network.id for network in lending}
    others = [network for network in networks if network.id not in names]
    return [
        (source, viewer) for source in lending for viewer in (*lending, *(others if source.role == "parent" else ()))
    ]


def pair_count(networks: int, family: int) -> int:
    """About how many pairs a plan of so many networks has, of which `family` are the first family's."""
    among = networks if networks <= WHOLE else min(networks, 1 + family)
    return among * (among - 1) + networks - among


def features(evidence: Evidence) -> tuple[Feature, ...]:
    """By task and pair, the mean confidence toward the true class and its interval."""
    tasks = [task for task in evidence.tasks if task.kind == "features" and not task.unavailable]
    return tuple(
        _feature(evidence, task, source, viewer) for task in tasks for source, viewer in pairs(evidence.networks)
    )


def _feature(evidence: Evidence, task: StoredTask, source: StoredNetwork, viewer: StoredNetwork) -> Feature:
    level = evidence.meta.run.confidence
    values, reason = _confidences(evidence, task, source, viewer), None
    if values is None:
        reason = "not evaluated yet"
    elif not np.isfinite(values).all():
        values, reason = None, "the network puts out numbers that are not finite"
    # softmax in 32 bits can come out a rounding error above 1
    shares = None if values is None else np.clip(values.astype(np.float64), 0.0, 1.0)
    ends = None if shares is None else interval(shares, confidence=level)
    return Feature(
        task=task.name,
        pixels_from=source.id,
        seen_by=viewer.id,
        confidence=level,
        n=None if shares is None else len(shares),
        value=None if shares is None else float(shares.mean()),
        low=None if ends is None else ends.low,
        high=None if ends is None else ends.high,
        reason=reason,
    )


def _confidences(evidence: Evidence, task: StoredTask, source: StoredNetwork, viewer: StoredNetwork) -> Column | None:
    if source.digest == viewer.digest:
        stored = evidence.stored(task, viewer)
        return None if stored is None else stored.columns["own_confidence"]
    columns = evidence.crossed(task, viewer, source)
    return None if columns is None else columns["lent_confidence"]
