"""The store → what `results.json` says. No network is run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TypedDict, cast

import numpy as np

from evalsuite.analysis.aggregates import SEVERITIES, aggregates
from evalsuite.analysis.consistency import nested
from evalsuite.analysis.evidence import Evidence, Family, Missing
from evalsuite.analysis.exemplars import forgotten
from evalsuite.analysis.population_pairs import features
from evalsuite.analysis.warnings import warnings
from evalsuite.corruptions import MIX1, MIX2
from evalsuite.files.private_paths import without_folders
from evalsuite.measures._base import Figure
from evalsuite.records.facts import NetworkFacts, TaskFacts
from evalsuite.records.store import Store
from evalsuite.statistics.compare import Comparison
from evalsuite.statistics.deployable import deployable, over_tasks
from evalsuite.statistics.potential import Potential

SCHEMA = "evalsuite-results/1"
Row = dict[str, object]


class Claimed(TypedDict):
    """How far a family can be pruned for all required tasks at once, and what sets it."""

    ratio: float
    network: str
    family: str
    binding_task: str | None
    binding_measure: str | None


def summarise(store: Store) -> Row:
    """Everything that can be said about the networks of a run, from what its store holds.

    Where files lie is left out unless the run was asked to tell it: results are shown to others.
    """
    results = _everything(Evidence(store))
    told = store.meta()["run"].get("full_paths", False)
    return results if told else cast(Row, without_folders(results))


def strips(store: Store, results: Row) -> dict[str, bytes]:
    """The strips of sample images, by the names that tasks have in the `results` of the store."""
    shown = [str(task["name"]) for task in cast("list[Row]", results["tasks"])]
    names = dict(zip([task["name"] for task in store.tasks()], shown, strict=True))
    return {names.get(name, name): png for name, png in store.pictures().items()}


def _everything(evidence: Evidence) -> Row:
    meta = evidence.meta
    families = [(family, _claimed(evidence, family)) for family in evidence.families]
    claims = [claim for _, claim in families if claim is not None]
    together, inside, crossed = aggregates(evidence), nested(evidence), features(evidence)
    return {
        "schema": SCHEMA,
        "run": {**meta["run"], "families": len(families), "confidence_each": evidence.confidence},
        "data": meta["data"],
        "parent": {"standard": None, **meta["parent"]},
        "readings": meta.get("readings"),
        "warnings": warnings(evidence),
        "networks": [{**network, "not_finite": evidence.not_finite(network)} for network in evidence.networks],
        "measures": [_measure(name, measure) for name, measure in evidence.measures.items()],
        "tasks": [_task(evidence, task) for task in evidence.tasks],
        "cells": _cells(evidence),
        "potential": [_potential(evidence, *key, found) for key, found in evidence.potentials.items()],
        "averages": [row for family, _ in families for row in _averages(evidence, family)],
        "aggregates": together.corruption,
        "excess": together.excess,
        "excess_lines": together.lines,
        "exemplars": forgotten(evidence),
        "features": crossed,
        "invariants": [asdict(each) for each in inside],
        "shipped": [{**each, "holds": each["verdict"] != "differs"} for each in meta.get("shipped", [])],
        "families": [{**family.facts, "deployable": claim} for family, claim in families],
        # the family that goes furthest: its claim holds beside the others', since all are made at `confidence_each`
        "deployable": max(claims, key=lambda claim: claim["ratio"], default=None),
        "complete": is_complete(evidence)
        and not any(each.broken for each in inside)
        and not any(row["reason"] for row in crossed),
    }


def is_complete(evidence: Evidence) -> bool:
    """Whether every cell has been evaluated."""
    return not any(isinstance(found, Missing) for found in evidence.comparisons.values())


def _claimed(evidence: Evidence, family: Family) -> Claimed | None:
    claims = evidence.claims(family)
    if isinstance(claims, Missing):
        return None
    found = deployable(claims)
    same = (n["id"] for n in reversed(family.networks) if n["prune_ratio"] == found.ratio)
    # a network of ratio 0 is reached only where its tasks did not give out
    network = None if found.binding is not None and found.ratio == 0 else next(same, None)
    return {
        "ratio": found.ratio,
        "network": network or evidence.parent["id"],
        "family": family.facts["id"],
        "binding_task": found.binding.task if found.binding else None,
        "binding_measure": found.binding.measure if found.binding else None,
    }


def _averages(evidence: Evidence, family: Family) -> list[Row]:
    """Average and minimum prune potential over sets of tasks, as in Lost in Pruning, section 5."""
    sets: dict[str, list[str]] = {"all tasks": [task["name"] for task in evidence.tasks]}
    for task in evidence.tasks:
        sets.setdefault(f"all {task['kind']} tasks", []).append(task["name"])
    sets |= _mixes(evidence.tasks)
    rows: list[Row] = []
    for title, names in sets.items():
        known = [evidence.potentials.get((family.facts["id"], name, "error")) for name in names]
        values = [each.prune_potential for each in known if isinstance(each, Potential)]
        if len(values) > 1:
            over = over_tasks(np.array([values]))
            average, minimum = over.average.mean, over.minimum.mean
            row: Row = {"family": family.facts["id"], "set": title, "measure": "error"}
            rows.append({**row, "average": average, "minimum": minimum, "n": len(values)})
    return rows


def _measure(name: str, measure: Figure) -> Row:
    return {"name": name, "title": measure.title, "unit": measure.unit, "required": measure.required}


def _mixes(tasks: Sequence[TaskFacts]) -> dict[str, list[str]]:
    """The halves on which Lost in Pruning trains and tests robust networks, where both are asked at a severity.

    Its training distributions are those of `mix1` and the nominal one, its test distributions `mix2` and new test
    sets; those of networks that were trained on clean data are all corruptions and the nominal one.
    """
    names = {task["name"] for task in tasks}
    nominal = [task["name"] for task in tasks if task["kind"] == "clean"]
    new = [task["name"] for task in tasks if task["kind"] == "shift" and task["parameters"].get("corruption") is None]
    found: dict[str, list[str]] = {}
    for severity in SEVERITIES:
        mix1, mix2 = ([f"corruption/{kind}/{severity}" for kind in mix] for mix in (MIX1, MIX2))
        if names.issuperset([*mix1, *mix2]):
            found |= {f"mix1/{severity}": mix1, f"mix2/{severity}": mix2}
            found |= {f"nominal + mix1/{severity}": [*nominal, *mix1]} if nominal else {}
            found |= {f"shift + mix2/{severity}": [*new, *mix2]} if new else {}
    return found


def _task(evidence: Evidence, task: TaskFacts) -> Row:
    kept = {key: value for key, value in task.items() if key not in {"shards", "readings"}}
    # a task is required by the measures that bind; one that writes nothing for them binds nothing
    binding = (name for name, measure in evidence.measures.items() if measure.required)
    return {
        **kept,
        "required": task["required"] and any(evidence.reads(measure=name, task=task) for name in binding),
        "shards": len(task["shards"]),
        "seconds": round(evidence.store.seconds(task["digest"], evidence.meta["run"]["seed"], task["shards"]), 3),
        "flags": sorted({flag for network in evidence.networks for flag in _flags(evidence, task, network)}),
        "note": _note(evidence, task),
    }


def _flags(evidence: Evidence, task: TaskFacts, network: NetworkFacts) -> tuple[str, ...]:
    return () if task["unavailable"] else evidence.doubts(task, network)


def _note(evidence: Evidence, task: TaskFacts) -> str | None:
    notes = [task["note"]] if task["note"] else []
    parent = evidence.comparisons.get((task["name"], "error", evidence.parent["id"]))
    if isinstance(parent, Comparison) and parent.loss > 0.9:
        notes.append(f"saturated: the parent itself errs on {parent.loss:.1%}, so there is little left to lose")
    return "; ".join(notes) or None


def _cells(evidence: Evidence) -> list[Row]:
    networks = {network["id"]: network for network in evidence.networks}
    doubts = {
        (task["name"], network["id"]): ", ".join(_flags(evidence, task, network))
        for task in evidence.tasks
        for network in evidence.networks
    }
    rows: list[Row] = []
    for (task, measure, network), found in evidence.comparisons.items():
        row: Row = {"task": task, "measure": measure, "network": network}
        if isinstance(found, Missing):
            rows.append({**row, **dict.fromkeys(_names(Comparison)), "reason": found.reason})
            continue
        group = _group(evidence, task, measure, found)
        verdict = None if networks[network]["role"] == "parent" else str(found.verdict)
        doubt = doubts[task, network]
        reason = f"not to be trusted: {doubt}" if doubt else None
        rows.append({**row, **asdict(found), "group": group, "verdict": verdict, "reason": reason})
    return rows


def _group(evidence: Evidence, task: str, measure: str, found: Comparison) -> str | None:
    """The class or slice that loses most, by its name."""
    if found.group is None:
        return None
    way, number = found.group
    facts = evidence.meta.get("slices")
    if facts is not None and evidence.measures[measure].needs_slices:
        attribute = list(evidence.slices(next(each for each in evidence.tasks if each["name"] == task)))[way]
        return f"{attribute} = {facts['attributes'][attribute][number]}"
    return evidence.meta["data"]["classes"][number]


def _potential(evidence: Evidence, family: str, task: str, measure: str, found: Potential | Missing) -> Row:
    row: Row = {"family": family, "task": task, "measure": measure}
    margins = {each["name"]: each["margin"] for each in evidence.tasks}
    row.update(margin=margins[task], confidence=evidence.confidence)
    if isinstance(found, Missing):
        return {**row, **dict.fromkeys(_names(Potential)), "censored": False, "nonmonotone": False} | {
            "reason": found.reason
        }
    failure = found.first_failure
    told = None if failure is None else {"ratio": failure.ratio, "verdict": str(failure.verdict)}
    return {**row, **asdict(found), "first_failure": told, "reason": None}


def _names(part: type[Comparison] | type[Potential]) -> Mapping[str, None]:
    return dict.fromkeys(field.name for field in fields(part))
