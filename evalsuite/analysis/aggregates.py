"""Figures over many tasks at once: mean corruption errors, and excess error against the prune ratio."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

import numpy as np
import numpy.typing as npt

from evalsuite.analysis.evidence import Evidence
from evalsuite.corruptions import COMMON
from evalsuite.records.schema import Aggregate, Data, Excess, ExcessLine
from evalsuite.records.stored import StoredNetwork, StoredTask
from evalsuite.statistics._interval import normal_quantile, one_sided
from evalsuite.statistics.excess import excess_error, regress, standard_error
from evalsuite.statistics.mce import (
    ALEXNET,
    ALEXNET_CLEAN,
    CorruptionError,
    Errors,
    Published,
    mean_corruption_error,
    relative_mean_corruption_error,
)

Array = npt.NDArray[np.float64]
SEVERITIES = (1, 2, 3, 4, 5)
SHIFTED = frozenset({"corruption", "shift"})
_EDGES = ("n01440764", "n15075141")
"""The first and the last class of ImageNet-1k."""


@final
@dataclass(frozen=True, kw_only=True)
class Aggregates:
    """Figures with their intervals, or the reason why there is none.

    Attributes:
        corruption: mCE and relative mCE of every network.
        excess: Excess error of every pruned network.
        lines: Regressions of excess error on the prune ratio, one a pruner.
    """

    corruption: tuple[Aggregate, ...] = ()
    excess: tuple[Excess, ...] = ()
    lines: tuple[ExcessLine, ...] = ()


def aggregates(evidence: Evidence) -> Aggregates:
    """Everything that is read off several tasks at once; every network's observations are read once."""
    sets, shifts = _sets(evidence.tasks), _shifts(evidence.tasks)
    combined = [*shifts, *(task for members in sets.values() for task in members.values())]
    if not combined:
        return Aggregates()
    tasks = list({task.name: task for task in [*combined, *_clean(evidence.tasks)]}.values())
    parent = _errors(evidence, tasks, evidence.parent)
    corruption: list[Aggregate] = []
    excess: list[Excess] = []
    for network in evidence.networks:
        losses = parent if network.role == "parent" else _errors(evidence, tasks, network)
        for name, members in sets.items():
            corruption.extend(_corruption(evidence, network, name, members, losses, parent))
        if shifts and network.role == "pruned":
            excess.append(_excess(evidence, network, shifts, losses, parent))
    return Aggregates(corruption=tuple(corruption), excess=tuple(excess), lines=tuple(_lines(evidence, excess)))


def _errors(evidence: Evidence, tasks: Iterable[StoredTask], network: StoredNetwork) -> dict[str, Array]:
    by_task = {task.name: evidence.errors(task, network) for task in tasks}
    return {name: losses for name, losses in by_task.items() if losses is not None}


def _clean(tasks: Sequence[StoredTask]) -> list[StoredTask]:
    return [task for task in tasks if task.kind == "clean" and not task.unavailable]


def _shifts(tasks: Sequence[StoredTask]) -> list[StoredTask]:
    """Tasks on shifted data, where there is also a task on clean data to hold them against."""
    return [t for t in tasks if t.kind in SHIFTED and not t.unavailable] if _clean(tasks) else []


def _sets(tasks: Sequence[StoredTask]) -> dict[str, dict[tuple[str, int], StoredTask]]:
    """Sets in which all 15 common corruptions are asked at all severities, by their tasks' name without these."""
    sets: dict[str, dict[tuple[str, int], StoredTask]] = {}
    for task in tasks:
        corruption, severity = (task.parameters.get(key) for key in ("corruption", "severity"))
        if isinstance(corruption, str) and isinstance(severity, int):
            name = task.name.replace(f"/{corruption}/{severity}", "")
            sets.setdefault(name, {})[corruption, severity] = task
    wanted = [(corruption, severity) for corruption in COMMON for severity in SEVERITIES]
    return {
        name: {key: members[key] for key in wanted} for name, members in sets.items() if members.keys() >= set(wanted)
    }


# --- mean corruption error


def _corruption(
    evidence: Evidence,
    network: StoredNetwork,
    name: str,
    members: Mapping[tuple[str, int], StoredTask],
    losses: Mapping[str, Array],
    parent: Mapping[str, Array],
) -> Iterator[Aggregate]:
    confidence = evidence.meta.run.confidence
    row: dict[str, object] = {
        "set": name,
        "family": network.family,
        "network": network.id,
        "confidence": confidence,
    }
    reason = _why_not(evidence, members, losses, parent)
    errors, beside = (None, None) if reason else (_joined(evidence, members, each) for each in (losses, parent))
    baselines: list[tuple[str, Errors | Published | None]] = []
    if network.role != "parent":  # beside itself it has 1
        baselines.append(("parent", beside))
    if _is_imagenet(evidence.meta.data):
        baselines.append(("alexnet", _alexnet()))
    for baseline, base in baselines:
        for title, figure in (("mce", mean_corruption_error), ("relative_mce", relative_mean_corruption_error)):
            value = None if errors is None or base is None else figure(errors, base, confidence=confidence)
            figures = _figures(value, reason)
            yield Aggregate.model_validate({"name": title, **row, "baseline": baseline, **figures})


_NO_FIGURES: Mapping[str, None] = MappingProxyType(dict.fromkeys(("n", "value", "low", "high")))


def _figures(error: CorruptionError | None, reason: str | None) -> dict[str, object]:
    if error is None:
        why = reason or "the baseline loses too little under some corruption, or clean losses are missing"
        return {**_NO_FIGURES, "reason": why}
    return {"n": error.n, "value": error.value, "low": error.low, "high": error.high, "reason": None}


def _why_not(
    evidence: Evidence,
    members: Mapping[tuple[str, int], StoredTask],
    losses: Mapping[str, Array],
    parent: Mapping[str, Array],
) -> str | None:
    for task in members.values():
        if task.unavailable or task.name not in losses.keys() & parent.keys():
            return f"{task.name}: {task.unavailable or 'not evaluated yet'}"
    labels = [evidence.labels(task) for task in members.values()]
    same = all(np.array_equal(each, labels[0]) for each in labels)
    return None if same else "the corruptions were not asked about the same examples"


def _joined(evidence: Evidence, members: Mapping[tuple[str, int], StoredTask], errors: Mapping[str, Array]) -> Errors:
    corrupted = np.array([np.mean([errors[members[c, s].name] for s in SEVERITIES], axis=0) for c in COMMON])
    labels = evidence.labels(next(iter(members.values())))
    for task in _clean(evidence.tasks):
        # the examples of a task that is judged on fewer are the first of the others'
        if task.name in errors and np.array_equal(evidence.labels(task)[: len(labels)], labels):
            return Errors(corrupted=corrupted, clean=errors[task.name][: len(labels)])
    return Errors(corrupted=corrupted)


def _alexnet() -> Published:
    return Published(corrupted=np.array([np.mean(ALEXNET[c]) for c in COMMON]), clean=ALEXNET_CLEAN)


def _is_imagenet(data: Data) -> bool:
    classes = data.classes
    return len(classes) == 1000 and (classes[0], classes[-1]) == _EDGES and data.shape[1:] == (224, 224)


# --- excess error


def _excess(
    evidence: Evidence,
    network: StoredNetwork,
    shifts: Sequence[StoredTask],
    losses: Mapping[str, Array],
    parent: Mapping[str, Array],
) -> Excess:
    clean = _clean(evidence.tasks)
    row: dict[str, object] = {"family": network.family, "prune_ratio": network.prune_ratio, "network": network.id}
    row |= {"tasks": len(shifts), "confidence": evidence.meta.run.confidence}
    missing = [t.name for t in [*clean, *shifts] if t.name not in losses.keys() & parent.keys()]
    if missing:
        reason = f"{missing[0]}: not evaluated yet"
        return Excess.model_validate({**row, **_NO_FIGURES, "reason": reason})
    value = float(
        excess_error(
            shifted=np.array([[losses[t.name].mean() for t in shifts]]),
            nominal=np.array([[losses[t.name].mean() for t in clean]]),
            parent_shifted=np.array([parent[t.name].mean() for t in shifts]),
            parent_nominal=np.array([parent[t.name].mean() for t in clean]),
        )[0]
    )
    n = min(len(losses[t.name]) for t in [*clean, *shifts])
    if n < 2:
        return Excess.model_validate({**row, **_NO_FIGURES, "n": n, "reason": "one example has no interval"})
    parts = _parts(evidence, clean, shifts, {name: losses[name] - parent[name] for name in losses})
    reach = normal_quantile(one_sided(evidence.meta.run.confidence)) * standard_error(parts)
    figures = {"n": n, "value": value, "low": value - reach, "high": value + reach, "reason": None}
    return Excess.model_validate({**row, **figures})


def _parts(
    evidence: Evidence, clean: Sequence[StoredTask], shifts: Sequence[StoredTask], change: Mapping[str, Array]
) -> list[Array]:
    """What each example adds to the excess error beyond the mean, in the unit of a mean over all of a part's examples.

    Tasks whose examples have the same labels in the same order are about the same ones; the examples of a task that is
    judged on fewer are the first of the others'.
    """
    signed = [(task, sign / len(tasks)) for tasks, sign in ((shifts, 1.0), (clean, -1.0)) for task in tasks]
    signed.sort(key=lambda pair: -len(change[pair[0].name]))
    parts: list[tuple[npt.NDArray[np.int64], Array]] = []
    for task, sign in signed:
        labels, losses = evidence.labels(task), change[task.name]
        added, n = sign * (losses - losses.mean()), len(losses)
        part = next((column for part_labels, column in parts if np.array_equal(part_labels[:n], labels)), None)
        if part is None:
            parts.append((labels, added))
        else:
            part[:n] += added * len(part) / n
    return [column for _, column in parts]


def _lines(evidence: Evidence, rows: Sequence[Excess]) -> Iterator[ExcessLine]:
    families = {family.facts.id: family.facts for family in evidence.families}
    points: dict[str, list[tuple[float, float, int]]] = {}
    for row in rows:
        family = families.get(row.family)
        if family is not None and row.value is not None and row.prune_ratio is not None and row.prune_ratio > 0:
            point = (row.prune_ratio, row.value, family.seed)
            points.setdefault(family.pruner or family.id, []).append(point)
    confidence = evidence.meta.run.confidence
    for pruner, measured in points.items():
        ratios, values, seeds = (np.array(column) for column in zip(*measured, strict=True))
        generator = np.random.default_rng(0)
        line = regress(ratios, values, seeds.astype(np.int64), generator=generator, confidence=confidence)
        yield ExcessLine(
            pruner=pruner,
            points=len(measured),
            seeds=len(set(seeds.tolist())),
            confidence=confidence,
            slope=line.slope,
            low=line.slope_low,
            high=line.slope_high,
            reason=None if line.slope_low is not None else "no interval: seeds are resampled, and there is one",
        )
