"""Evaluates a family: plans what is missing, lets an engine compute it, and is the only one that writes it down."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import final

from torch import nn

from evalsuite.analysis import population_pairs
from evalsuite.config.settings import EvaluationSettings
from evalsuite.data._base import Dataset
from evalsuite.engines._base import Engine, ItemResult
from evalsuite.engines._items import NetworkRef, PairwiseItem, WorkItem, split_into_shards, unique
from evalsuite.engines._networks import NetworkLoader
from evalsuite.evaluation.examples import EvaluationExamples, domain_of, setting_for_task
from evalsuite.evaluation.missing import MissingWork, Population, address, missing_work, wanted
from evalsuite.evaluation.pace import Pace
from evalsuite.evaluation.thumbnails import contact_sheet, has_pixels
from evalsuite.parts.names import part_kind, part_name, part_settings
from evalsuite.problems import Classification
from evalsuite.process.third_party_code import OthersError, others_code
from evalsuite.progress import Reporter
from evalsuite.records.store import Store, StoredShard
from evalsuite.records.stored import StoredTask
from evalsuite.tasks._abilities import ChecksNetworks
from evalsuite.tasks._base import Task
from evalsuite.tasks._names import read_parameters


def evaluate_family(
    networks: Sequence[NetworkRef],
    examples: EvaluationExamples,
    store: Store,
    *,
    engine: Engine,
    loader: NetworkLoader,
    reporter: Reporter,
) -> None:
    """Ask every network every task and store the observations; what is stored already is not computed again.

    Args:
        networks: All networks, first the parent, that the others are compared with.
        examples: The tasks, and their examples.
        store: Where observations go.
        engine: Computes what is missing.
        loader: Loads networks, to see which tasks make sense for them.
        reporter: Hears about progress.

    Raises:
        OthersError: Others' code failed at a task, the first one of those; the other tasks are finished.
    """
    unavailable = _unavailable(networks, examples, loader)
    with others_code("seeing which tasks make sense"):
        store.set_tasks([_stored(task, examples, unavailable[part_name(task)]) for task in examples.settings.tasks])
        population = Population(parent=networks[0], networks=tuple(networks), pairs=_pairs(networks, store))
        work = [
            _missing(task, examples, population, store, engine.networks_at_once)
            for task in examples.settings.tasks
            if unavailable[part_name(task)] is None
        ]
    write_missing([each for each in work if each.items], networks[0], store, engine=engine, reporter=reporter)


def write_missing(
    work: Sequence[MissingWork], parent: NetworkRef, store: Store, *, engine: Engine, reporter: Reporter
) -> None:
    """Let `engine` compute what is missing and store it as it comes, item by item.

    Stopping at any moment loses the items in flight and nothing else; raises as `evaluate_family` does.
    """
    if not work:
        return
    reporter.start("Evaluating", sum(each.weight for each in work))
    writer = _Writer(parent, store, reporter, Pace({part_name(each.task): each.weight for each in work}))
    failures: list[OthersError] = []
    for each in work:
        try:
            writer.write(each, engine)
        except OthersError as error:
            failures.append(error)
            writer.give_up(each, error)
    reporter.finish()
    if failures:
        raise failures[0]


@final
class _Writer:
    """Writes what an engine gives, and tells how far it is."""

    def __init__(self, parent: NetworkRef, store: Store, reporter: Reporter, pace: Pace) -> None:
        self._parent, self._store, self._reporter, self._pace = parent, store, reporter, pace

    def write(self, work: MissingWork, engine: Engine) -> None:
        """All that is missing of one task; each call of the engine needs what the one before has given."""
        for items in (work.bank, work.observe, self._with_observations(work.pairwise)):
            began = time.perf_counter()
            for result in engine.compute(self._announced(items)):
                self._store.write(_rows(result), self._pictures(result))
                now = time.perf_counter()
                self._tell(work, result.item, now - began)
                began = now

    def give_up(self, work: MissingWork, error: OthersError) -> None:
        """Nothing more is written of a task."""
        self._pace.give_up(part_name(work.task))
        self._reporter.say(f"  failed, the other tasks go on: {error}")

    def _tell(self, work: MissingWork, item: WorkItem, seconds: float) -> None:
        weight, examples = work.weight_of(item), len(item.shard) * len(wanted(item))
        self._pace.took(part_name(work.task), weight, seconds)
        self._reporter.advance(weight, _what(item), self._pace.left(), examples=examples)

    def _announced(self, items: Iterable[WorkItem]) -> Iterator[WorkItem]:
        for item in items:
            named = list(dict.fromkeys(ref.id for ref in wanted(item)))
            self._reporter.work_on(named[0] if len(named) == 1 else f"{len(named)} networks", _what(item))
            yield item

    def _with_observations(self, items: Iterable[PairwiseItem]) -> Iterator[PairwiseItem]:
        for item in items:
            observed = self._store.read(address(item.shard, item.source, item.seed))
            assert observed is not None  # noqa: S101 - own observations are written before
            yield replace(item, observed=observed)

    def _pictures(self, result: ItemResult) -> dict[str, bytes]:
        """What the parent was shown first."""
        pictures, item = result.pictures, result.item
        if pictures is None or not has_pixels(pictures) or item.runs[0].digest != self._parent.digest:
            return {}
        return {item.shard.task: contact_sheet(pictures)}


def _what(item: WorkItem) -> str:
    return f"{item.shard.task}  examples to {item.shard.stop}"


def _rows(result: ItemResult) -> list[StoredShard]:
    shard, seed = result.item.shard, result.item.seed
    return [
        StoredShard(address=address(shard, each.network, seed, each.other), columns=each.columns, seconds=each.seconds)
        for each in result.observations
    ]


def _missing(
    task: Task, examples: EvaluationExamples, population: Population, store: Store, at_once: int | None
) -> MissingWork:
    training = examples.training.get(part_name(task))
    bank = () if training is None else split_into_shards(task, training, len(training), training)
    return missing_work(
        task,
        examples.shards[part_name(task)],
        population,
        store,
        examples.settings.seed,
        bank=bank,
        domain=domain_of(examples.dataset),
        at_once=at_once,
    )


def _pairs(networks: Sequence[NetworkRef], store: Store) -> tuple[tuple[NetworkRef, NetworkRef], ...]:
    """Who is shown what was observed of whom, as the store knows the networks."""
    by_id = {ref.id: ref for ref in networks}
    evaluated = [each for each in store.networks() if each.id in by_id]
    return tuple((by_id[source.id], by_id[network.id]) for source, network in population_pairs.pairs(evaluated))


def why_unavailable(task: Task, dataset: Dataset, networks: Iterable[nn.Module]) -> str | None:
    """Why `task` makes no sense on this data, or for one of the networks; None where it does."""
    domain = domain_of(dataset)
    if task.of_classes and not isinstance(dataset.problem, Classification):
        return f"it asks about one class an image, and {dataset.name} is about {dataset.problem.title}"
    if (reason := task.unsupported_reason(domain)) is not None or not isinstance(task, ChecksNetworks):
        return reason
    reasons = (task.unsupported_network_reason(network, domain) for network in networks)
    return next((reason for reason in reasons if reason is not None), None)


def _unavailable(
    networks: Sequence[NetworkRef], examples: EvaluationExamples, loader: NetworkLoader
) -> dict[str, str | None]:
    """By the name of the task why it is not asked; every network is loaded once, however many tasks look at it."""
    tasks, dataset = examples.settings.tasks, examples.dataset
    with others_code("seeing which tasks make sense"):
        reasons = {part_name(task): why_unavailable(task, dataset, ()) for task in tasks}
    looking = [task for task in tasks if isinstance(task, ChecksNetworks)]
    for ref in unique(networks):
        open_ones = [task for task in looking if reasons[part_name(task)] is None]
        if not open_ones:
            break
        network = loader.load(ref)
        with others_code("seeing which tasks make sense", networks={ref.id: network}):
            for task in open_ones:
                reasons[part_name(task)] = task.unsupported_network_reason(network, domain_of(dataset))
    return reasons


def _stored(task: Task, examples: EvaluationExamples, unavailable: str | None) -> StoredTask:
    settings, shards = examples.settings, examples.shards[part_name(task)]
    return StoredTask(
        name=part_name(task),
        kind=part_kind(task),
        title=task.title(),
        required=_required(task, settings, available=unavailable is None),
        margin=setting_for_task(task, settings.margin, settings.margin_for),
        version=task.version,
        parameters={**part_settings(task), **task.identity()},
        readings=read_parameters(task),
        note=task.note(domain_of(examples.dataset)),
        unavailable=unavailable,
        digest=examples.digest(task),
        shards=tuple(shard.examples for shard in shards),
        n=shards[-1].stop if shards else 0,
    )


def _required(task: Task, settings: EvaluationSettings, *, available: bool) -> bool:
    """A task that cannot be asked is required only where it is asked for by its own name, not by a pattern."""
    if not available:
        return part_name(task) in settings.required
    return any(fnmatchcase(part_name(task), pattern) for pattern in settings.required)
