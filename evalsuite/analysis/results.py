"""Builds a run's results from what its store holds. No network is run."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from pydantic import ValidationError

from evalsuite.analysis.aggregates import SEVERITIES, aggregates
from evalsuite.analysis.consistency import check_consistency
from evalsuite.analysis.evidence import Evidence, Family, Missing
from evalsuite.analysis.exemplars import find_exemplars
from evalsuite.analysis.population_pairs import features
from evalsuite.analysis.warnings import warnings
from evalsuite.corruptions import MIX1, MIX2
from evalsuite.errors import RefusedInputError
from evalsuite.files.private_paths import without_folders
from evalsuite.measures._base import Metric
from evalsuite.records import schema
from evalsuite.records.schema import SCHEMA, Results, first_error
from evalsuite.records.store import Store
from evalsuite.records.stored import StoredNetwork, StoredTask
from evalsuite.statistics.compare import Comparison
from evalsuite.statistics.deployable import deployable, over_tasks
from evalsuite.statistics.potential import Potential


def summarise(store: Store) -> Results:
    """Everything that can be said about the networks of a run, from what its store holds.

    Where files lie is left out unless the run was asked to tell it: results are shown to others.

    Raises:
        IncompleteEvidenceError: The run has no networks yet.
        RefusedInputError: The store holds what no run writes.
    """
    evidence = Evidence(store)
    try:
        results = _results(evidence)
        private = not evidence.meta.run.full_paths
        return Results.model_validate(without_folders(results.document())) if private else results
    except ValidationError as error:
        raise RefusedInputError(
            f"expected a store as a run leaves it, got {first_error(error)}: it was changed or damaged; begin the run "
            f"anew in another folder"
        ) from error


def strips(store: Store, results: Results) -> dict[str, bytes]:
    """The strips of sample images, by the names that tasks have in the `results` of the store."""
    stored = [task.name for task in store.tasks()]
    names = dict(zip(stored, (task.name for task in results.tasks), strict=True))
    return {names.get(name, name): png for name, png in store.pictures().items()}


def _results(evidence: Evidence) -> Results:
    meta = evidence.meta
    families = [_family(evidence, family) for family in evidence.families]
    held = [family.deployable for family in families if family.deployable is not None]
    combined, invariants, crossed = aggregates(evidence), check_consistency(evidence), features(evidence)
    return Results(
        schema=SCHEMA,
        run=schema.Run.model_validate(
            {**meta.run.document(), "families": len(families), "confidence_each": evidence.confidence}
        ),
        data=meta.data,
        parent=meta.parent.model_copy(update={"standard": meta.parent.standard}),
        readings=meta.readings,
        warnings=tuple(warnings(evidence)),
        networks=tuple(_network(evidence, network) for network in evidence.networks),
        measures=tuple(_measure(name, measure) for name, measure in evidence.measures.items()),
        tasks=tuple(_task(evidence, task) for task in evidence.tasks),
        cells=tuple(_cells(evidence)),
        potential=tuple(_potential(evidence, *key, reached) for key, reached in evidence.potentials.items()),
        averages=tuple(row for family in evidence.families for row in _averages(evidence, family)),
        aggregates=combined.corruption,
        excess=combined.excess,
        excess_lines=combined.lines,
        exemplars=find_exemplars(evidence),
        features=crossed,
        invariants=invariants,
        shipped=tuple(
            schema.Shipped.model_validate({**each.document(), "holds": each.verdict != "differs"})
            for each in meta.shipped
        ),
        families=tuple(families),
        # the family that goes furthest: its claim holds beside the others', since all are made at `confidence_each`
        deployable=max(held, key=lambda each: each.ratio, default=None),
        complete=is_complete(evidence)
        and not any(each.broken for each in invariants)
        and not any(each.reason for each in crossed),
    )


def is_complete(evidence: Evidence) -> bool:
    """Whether every cell has been evaluated."""
    return not any(isinstance(each, Missing) for each in evidence.comparisons.values())


def _network(evidence: Evidence, network: StoredNetwork) -> schema.Network:
    return schema.Network.model_validate({**network.document(), "not_finite": evidence.not_finite(network)})


def _family(evidence: Evidence, family: Family) -> schema.Family:
    return schema.Family.model_validate({**family.facts.document(), "deployable": _deployable(evidence, family)})


def _deployable(evidence: Evidence, family: Family) -> schema.Deployable | None:
    claims = evidence.claims(family)
    if isinstance(claims, Missing):
        return None
    limit = deployable(claims)
    same = (n.id for n in reversed(family.networks) if n.prune_ratio == limit.ratio)
    # a network of ratio 0 is reached only where its tasks did not give out
    network = None if limit.binding is not None and limit.ratio == 0 else next(same, None)
    return schema.Deployable(
        ratio=limit.ratio,
        network=network or evidence.parent.id,
        family=family.facts.id,
        binding_task=limit.binding.task if limit.binding else None,
        binding_measure=limit.binding.measure if limit.binding else None,
    )


def _averages(evidence: Evidence, family: Family) -> list[schema.Average]:
    """Average and minimum prune potential over sets of tasks, as in Lost in Pruning, section 5."""
    sets: dict[str, list[str]] = {"all tasks": [task.name for task in evidence.tasks]}
    for task in evidence.tasks:
        sets.setdefault(f"all {task.kind} tasks", []).append(task.name)
    sets |= _mixes(evidence.tasks)
    rows: list[schema.Average] = []
    name = family.facts.id
    for title, tasks in sets.items():
        reached = [evidence.potentials.get((name, task, "error")) for task in tasks]
        values = [each.prune_potential for each in reached if isinstance(each, Potential)]
        if len(values) > 1:
            over = over_tasks(np.array([values]))
            row = schema.Average(
                family=name,
                set=title,
                measure="error",
                average=over.average.mean,
                minimum=over.minimum.mean,
                n=len(values),
            )
            rows.append(row)
    return rows


def _measure(name: str, measure: Metric) -> schema.Measure:
    return schema.Measure(name=name, title=measure.title, unit=measure.unit, required=measure.required)


def _mixes(tasks: Sequence[StoredTask]) -> dict[str, list[str]]:
    """The halves on which Lost in Pruning trains and tests robust networks, where both are asked at a severity.

    Its training distributions are those of `mix1` and the nominal one, its test distributions `mix2` and new test
    sets; those of networks that were trained on clean data are all corruptions and the nominal one.
    """
    names = {task.name for task in tasks}
    nominal = [task.name for task in tasks if task.kind == "clean"]
    new = [task.name for task in tasks if task.kind == "shift" and task.parameters.get("corruption") is None]
    mixes: dict[str, list[str]] = {}
    for severity in SEVERITIES:
        mix1, mix2 = ([f"corruption/{kind}/{severity}" for kind in mix] for mix in (MIX1, MIX2))
        if names.issuperset([*mix1, *mix2]):
            mixes |= {f"mix1/{severity}": mix1, f"mix2/{severity}": mix2}
            mixes |= {f"nominal + mix1/{severity}": [*nominal, *mix1]} if nominal else {}
            mixes |= {f"shift + mix2/{severity}": [*new, *mix2]} if new else {}
    return mixes


def _task(evidence: Evidence, task: StoredTask) -> schema.Task:
    # how observations are read stands in the measures' own figures
    kept = {key: value for key, value in task.document().items() if key != "readings"}
    # a task is required by the measures that bind; one that writes nothing for them binds nothing
    binding = (name for name, measure in evidence.measures.items() if measure.required)
    computed = {
        "required": task.required and any(evidence.reads(measure=name, task=task) for name in binding),
        "shards": len(task.shards),
        "seconds": round(evidence.store.seconds(task.digest, evidence.meta.run.seed, task.shards), 3),
        "flags": sorted({flag for network in evidence.networks for flag in _flags(evidence, task, network)}),
        "note": _note(evidence, task),
    }
    return schema.Task.model_validate({**kept, **computed})


def _flags(evidence: Evidence, task: StoredTask, network: StoredNetwork) -> tuple[str, ...]:
    return () if task.unavailable else evidence.validity_flags(task, network)


def _note(evidence: Evidence, task: StoredTask) -> str | None:
    notes = [task.note] if task.note else []
    parent = evidence.comparisons.get((task.name, "error", evidence.parent.id))
    if isinstance(parent, Comparison) and parent.loss > 0.9:
        notes.append(f"saturated: the parent itself errs on {parent.loss:.1%}, so there is little left to lose")
    return "; ".join(notes) or None


def _cells(evidence: Evidence) -> list[schema.Cell]:
    parents = {network.id for network in evidence.networks if network.role == "parent"}
    flags = {
        (task.name, network.id): ", ".join(_flags(evidence, task, network))
        for task in evidence.tasks
        for network in evidence.networks
    }
    return [
        _cell(evidence, key, compared, flags=flags[task, network], is_parent=network in parents)
        for key, compared in evidence.comparisons.items()
        for task, _, network in [key]
    ]


def _cell(
    evidence: Evidence, key: tuple[str, str, str], compared: Comparison | Missing, *, flags: str, is_parent: bool
) -> schema.Cell:
    task, measure, network = key
    row: dict[str, object] = {"task": task, "measure": measure, "network": network}
    if isinstance(compared, Missing):
        return schema.Cell.model_validate({**_nothing(schema.Cell), **row, "reason": compared.reason})
    figures = {
        **asdict(compared),
        "group": _group(evidence, task, measure, compared),
        "verdict": None if is_parent else str(compared.verdict),
        "reason": f"not to be trusted: {flags}" if flags else None,
    }
    return schema.Cell.model_validate({**row, **figures})


def _group(evidence: Evidence, task: str, measure: str, compared: Comparison) -> str | None:
    """The class or slice that loses most, by its name."""
    if compared.group is None:
        return None
    way, number = compared.group
    slices = evidence.meta.slices
    if slices is not None and evidence.measures[measure].needs_slices:
        attribute = list(evidence.slices(next(each for each in evidence.tasks if each.name == task)))[way]
        return f"{attribute} = {slices.attributes[attribute][number]}"
    return evidence.meta.data.classes[number]


def _potential(
    evidence: Evidence, family: str, task: str, measure: str, reached: Potential | Missing
) -> schema.Potential:
    margins = {each.name: each.margin for each in evidence.tasks}
    row: dict[str, object] = {"family": family, "task": task, "measure": measure}
    row |= {"margin": margins[task], "confidence": evidence.confidence}
    if isinstance(reached, Missing):
        unknown = {"censored": False, "nonmonotone": False, "reason": reached.reason}
        return schema.Potential.model_validate({**_nothing(schema.Potential), **row, **unknown})
    end = reached.first_failure
    failure = None if end is None else {"ratio": end.ratio, "verdict": str(end.verdict)}
    return schema.Potential.model_validate({**row, **asdict(reached), "first_failure": failure, "reason": None})


def _nothing(part: type[schema.Part]) -> dict[str, object]:
    """A row without any figure, which says so of each."""
    return dict.fromkeys(part.model_fields)
