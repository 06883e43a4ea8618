"""load → prune → evaluate → decide → report: the stages of a run, one after another, in one folder."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from evalsuite.analysis.results import strips, summarise
from evalsuite.analysis.results_file import complete_record, withdraw, write
from evalsuite.config.run_record import Clock, Origin, answers_as_before, begun_run, stored_parent
from evalsuite.config.settings import EvaluationSettings, PruningSettings
from evalsuite.data import Examples, choose
from evalsuite.engines._base import Engine
from evalsuite.evaluation.equivalence import ShippedFile, compare_outputs
from evalsuite.evaluation.evaluate import evaluate_family, why_unavailable
from evalsuite.evaluation.examples import EvaluationExamples, prepare_examples
from evalsuite.evaluation.repeatability import note_repeatability
from evalsuite.evaluation.shard_slices import slices_by_shard
from evalsuite.evaluation.thumbnails import exemplar_pictures
from evalsuite.files.atomic import write_atomically
from evalsuite.inputs.read import Inputs, statistics
from evalsuite.inputs.unchanged import check_unchanged
from evalsuite.inputs.understanding import add_readings, understand
from evalsuite.networks.digest import network_digest
from evalsuite.parts.names import part_name
from evalsuite.parts.registry import find
from evalsuite.process.third_party_code import others_code
from evalsuite.progress import Reporter, Silent
from evalsuite.pruning.candidates import Candidate, Candidates, register_candidates
from evalsuite.pruning.faithful import check_faithful
from evalsuite.pruning.family import Family, build_family
from evalsuite.records.heartbeat import recorded
from evalsuite.records.schema import Network, Results
from evalsuite.records.store import Store, opened
from evalsuite.records.stored import Meta
from evalsuite.report.page import Picture, render

__all__ = ["Candidate", "Origin", "ShippedFile", "evaluate", "only_prune", "run"]

_LOOKED_AT, _CONFIDENCE = 1000, 0.95
"""Examples on which the parent is judged where nothing else is, and how sure that has to be."""


def run(
    inputs: Inputs,
    pruning_settings: PruningSettings,
    evaluation_settings: EvaluationSettings,
    *,
    out: Path,
    origin: Origin,
    reporter: Reporter | None = None,
) -> Results:
    """Make the family, evaluate it, and write `results.json`, `report.html` and `run.toml` to `out`.

    Work that `out` already holds is not done again.

    Raises:
        UsageError: `out` belongs to another run, or the options do not fit the data.
    """
    evaluation_settings = evaluation_settings.with_default_measures(inputs.dataset.problem)
    engine, examples = _engine(origin), _chosen(inputs, evaluation_settings)
    _check_prunable(inputs, pruning_settings)
    begun = begun_run(inputs, pruning_settings.identity(), evaluation_settings, examples, out, origin)
    with recorded(reporter or Silent(), out) as progress, begun as (store, clock):
        # what cannot be read is told before hours of work
        evaluated = _prepared(evaluation_settings, inputs, examples, store, progress)
        understand(inputs, examples, store, origin, progress, confidence=evaluation_settings.confidence)
        family = build_family(inputs, pruning_settings, store, out, seed=evaluation_settings.seed, reporter=progress)
        return _results(engine, inputs, family, evaluated, store, clock, out, progress)


def evaluate(
    inputs: Inputs,
    candidates: Mapping[str, Candidate],
    evaluation_settings: EvaluationSettings,
    *,
    out: Path,
    origin: Origin,
    reporter: Reporter | None = None,
    shipped: Sequence[ShippedFile] = (),
) -> Results:
    """Evaluate networks made elsewhere, by name, against their parent; writes what `run` writes.

    Files that are `shipped` as one of them (or as the parent) are asked the same and held against it.

    Raises:
        UsageError: `out` belongs to another run.
        RefusedInputError: A shipped file gives outputs that are not finite.
    """
    evaluation_settings = evaluation_settings.with_default_measures(inputs.dataset.problem)
    engine, examples = _engine(origin), _chosen(inputs, evaluation_settings)
    files = {each.id: Candidate(read=each.read, file=each.path) for each in shipped}
    networks = Candidates(inputs, {**candidates, **files})
    made: dict[str, object] = {"candidates": {name: networks.digests[name] for name in sorted(candidates)}}
    if shipped:
        digests = {name: networks.digests[name] for name in sorted(files)}
        made["shipped"] = {"files": digests, "as": {each.id: each.tested_as for each in shipped}}
    # a network that is judged alone is no standard for anything
    origin = origin if candidates or shipped else replace(origin, accept_parent=True)
    begun = begun_run(inputs, made, evaluation_settings, examples, out, origin)
    with recorded(reporter or Silent(), out) as progress, begun as (store, clock):
        evaluated = _prepared(evaluation_settings, inputs, examples, store, progress)
        others = networks.interpretations
        understand(inputs, examples, store, origin, progress, confidence=evaluation_settings.confidence, others=others)
        family = register_candidates(inputs, networks, store, frozenset(files))
        refs = {ref.id: ref for ref in family.networks}
        comparisons = []
        for each in shipped:
            tested, network = family.loader.load_all([refs[each.tested_as], refs[each.id]])
            comparison = compare_outputs(
                tested,
                network,
                each,
                examples,
                sha256=networks.file_digests[each.id] or "",
                confidence=evaluation_settings.confidence,
                statistics=statistics(inputs),
            )
            comparisons.append(comparison)
        store.set_meta(Meta(shipped=tuple(comparisons)))
        return _results(engine, inputs, family, evaluated, store, clock, out, progress)


def only_prune(
    inputs: Inputs, pruning_settings: PruningSettings, *, out: Path, seed: int, origin: Origin, reporter: Reporter
) -> list[Network]:
    """Make the family without evaluating it; networks go to `out`/networks. A sweep into `out` finds them there."""
    test = inputs.dataset.test
    examples = choose(test, min(_LOOKED_AT, len(test)), seed)
    _check_prunable(inputs, pruning_settings)
    with recorded(reporter, out) as progress, opened(out, create=True) as store:
        parent = network_digest(inputs.parent.network, inputs.parent.shape)
        same = answers_as_before(inputs, parent, store, out)
        withdraw(out, store)
        store.set_meta(Meta(parent=stored_parent(inputs, parent, store.meta() if same else Meta())))
        understand(inputs, examples, store, origin, progress, confidence=_CONFIDENCE)
        family = build_family(inputs, pruning_settings, store, out, seed=seed, reporter=progress)
        add_readings(family.readings, store, progress)
        return [network for address in family.addresses[1:] if (network := store.network(address)) is not None]


def _prepared(
    evaluation_settings: EvaluationSettings, inputs: Inputs, examples: Examples, store: Store, reporter: Reporter
) -> EvaluationExamples:
    """The examples of all tasks; which tasks are not asked is said."""
    with others_code("preparing the tasks", networks={"parent": inputs.parent.network}):
        evaluated = prepare_examples(evaluation_settings, inputs.dataset, examples, store)
        for task in evaluation_settings.tasks:
            if (reason := why_unavailable(task, inputs.dataset, [inputs.parent.network])) is not None:
                reporter.say(f"  not asked: {part_name(task)}: {reason}")
        store.set_meta(Meta(slices=slices_by_shard(evaluated)))
    return evaluated


def _check_prunable(inputs: Inputs, pruning_settings: PruningSettings) -> None:
    """Refuse what cannot be pruned faithfully before the run's folder is touched."""
    image = torch.zeros(1, *inputs.dataset.shape, device=inputs.device)
    with others_code("seeing whether it can be pruned", networks={"parent": inputs.parent.network}):
        check_faithful(inputs.parent.network, pruning_settings.pruners, image)


def _engine(origin: Origin) -> type[Engine]:
    return find("evalsuite.engines", origin.engine.replace("-", "_"), Engine)


def _chosen(inputs: Inputs, evaluation_settings: EvaluationSettings) -> Examples:
    test = inputs.dataset.test
    return choose(test, min(evaluation_settings.examples, len(test)), evaluation_settings.seed)


def _results(
    engine: type[Engine],
    inputs: Inputs,
    family: Family,
    evaluated: EvaluationExamples,
    store: Store,
    clock: Clock,
    out: Path,
    reporter: Reporter,
) -> Results:
    """Evaluate the family, decide, and write the pages."""
    store.set_meta(Meta(members=family.addresses, families=family.families))
    add_readings(family.readings, store, reporter)
    for ref in family.networks:
        check_unchanged(family.loader.load(ref), ref.digest, inputs.dataset.shape, store, out, title=ref.id)
    note_repeatability(family.networks, family.addresses, family.loader, evaluated.examples, store)
    at_work = engine(
        evaluated.settings.tasks,
        evaluated.for_task,
        family.loader,
        device=inputs.device,
        banks=evaluated.training,
    )
    evaluate_family(family.networks, evaluated, store, engine=at_work, loader=family.loader, reporter=reporter)
    clock.note()  # the results tell what they took
    reporter.start("Reporting", 0.0)
    with others_code("reading measures off what was observed"):
        results = summarise(store)
    # nothing is run for these: they are examples as they are, not as a network saw them
    store.write([], exemplar_pictures(results, evaluated.examples))
    results = complete_record(results, store)
    pictures = [Picture(task=task, png=png) for task, png in strips(store, results).items()]
    write_atomically(out / "report.html", render(results, pictures))
    write(results, out, store)
    reporter.finish()
    return results
