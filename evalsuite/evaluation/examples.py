"""Prepares the examples of every task: the run's held-out ones, or examples that a task brings."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, final

from evalsuite.config.settings import EvaluationSettings
from evalsuite.data import Dataset, Examples, check_disjoint, choose
from evalsuite.data._disjoint import Files
from evalsuite.engines._items import Shard, split_into_shards
from evalsuite.errors import UsageError
from evalsuite.parts.names import part_kind, part_name, part_settings
from evalsuite.records.store import Store
from evalsuite.tasks._abilities import OwnExamples, bank_size
from evalsuite.tasks._base import Domain, Task
from evalsuite.tasks._names import digest

Number = TypeVar("Number", int, float)


@final
@dataclass(frozen=True, kw_only=True)
class EvaluationExamples:
    """What a run evaluates on, split into shards.

    Attributes:
        settings: The tasks, and on how many examples each.
        dataset: The data that the networks were trained on.
        examples: The run's held-out examples, in order.
        shards: Shards of every task, by its name.
        training: The training examples of banks, by the name of the task; most tasks have none.
    """

    settings: EvaluationSettings
    dataset: Dataset
    examples: Examples
    shards: Mapping[str, tuple[Shard, ...]]
    training: Mapping[str, Examples]

    def for_task(self, task: Task) -> Examples:
        """The examples of one task, read again where the task brings them."""
        return examples_for(task, self.settings, self.dataset, self.examples)

    def digest(self, task: Task) -> str:
        """The task's part of addresses."""
        return digest(task, self.training.get(part_name(task)))


def prepare_examples(
    settings: EvaluationSettings, dataset: Dataset, examples: Examples, store: Store
) -> EvaluationExamples:
    """Split the examples of every task into shards, and tell the store their true classes.

    Examples that a task brings are read only where the store does not know their shards yet, so that a finished task
    costs nothing.

    Raises:
        UsageError: A task's own examples are missing, or do not fit the data set; a budget cannot have been meant.
        RefusedInputError: A file is corrupt.
    """
    for task in settings.tasks:
        check_task(task, dataset)
    training = _training(settings, dataset)
    shards_by_task: dict[str, tuple[Shard, ...]] = {}
    for task in settings.tasks:
        bank, source = training.get(part_name(task)), _source(task, settings, dataset)
        stored = None if source is None else store.shard_sizes(source)
        if stored is not None:
            shards_by_task[part_name(task)] = _shards_of_sizes(task, stored, bank)
            continue
        chosen = examples_for(task, settings, dataset, examples)
        shards = split_into_shards(task, chosen, limit(task, settings), bank)
        store.set_labels({shard.examples: chosen.labels[shard.start : shard.stop].tolist() for shard in shards})
        if source is not None:
            store.set_shard_sizes(source, [(shard.examples, len(shard)) for shard in shards])
        shards_by_task[part_name(task)] = shards
    return EvaluationExamples(
        settings=settings, dataset=dataset, examples=examples, shards=shards_by_task, training=training
    )


def check_task(task: Task, dataset: Dataset) -> None:
    """Refuse a task whose values nobody can have meant on this data.

    Raises:
        UsageError: The task, the value, and what is accepted.
    """
    try:
        task.check(domain_of(dataset))
    except ValueError as error:
        raise UsageError(f"{part_name(task)}: {error}") from None


def domain_of(dataset: Dataset) -> Domain:
    """What tasks have to cope with on this data."""
    training = 0 if dataset.train is None else len(dataset.train)
    return Domain(shape=dataset.shape, classes=len(dataset.classes), problem=dataset.problem, training=training)


def _training(settings: EvaluationSettings, dataset: Dataset) -> dict[str, Examples]:
    """The examples of banks, by the name of the task: chosen by the run's seed, the same for equal numbers."""
    available = 0 if dataset.train is None else len(dataset.train)
    wanted = {part_name(task): min(bank_size(task), available) for task in settings.tasks}
    if dataset.train is None:
        return {}
    chosen = {n: choose(dataset.train, n, settings.seed) for n in {*wanted.values()} - {0}}
    return {task: chosen[n] for task, n in wanted.items() if n}


def examples_for(task: Task, settings: EvaluationSettings, dataset: Dataset, examples: Examples) -> Examples:
    """The examples that a task brings, as many as it is judged on, chosen by the run's seed; else the run's `examples`.

    Raises:
        UsageError: Own examples are not like those of the data set, or stand in its training examples.
    """
    if not isinstance(task, OwnExamples):
        return examples
    brought = task.examples(dataset)
    check_examples(task, brought, dataset)
    chosen = choose(brought, min(limit(task, settings), len(brought)), settings.seed)
    trained = dataset.train
    # photos are compared with photos: decoding all training examples of a large set would take longer than the task
    if trained is not None and isinstance(trained.images, Files) == isinstance(chosen.images, Files):
        check_disjoint(trained, chosen)
    return chosen


def limit(task: Task, settings: EvaluationSettings) -> int:
    """How many examples a task is judged on, where there are as many."""
    return min(settings.examples, setting_for_task(task, settings.examples, settings.examples_for))


def setting_for_task(task: Task, otherwise: Number, by_task: Mapping[str, Number]) -> Number:
    """The entry of `by_task` for a task: under its full name, else under its kind, else `otherwise`."""
    return by_task.get(part_name(task), by_task.get(part_kind(task), otherwise))


def check_examples(task: Task, brought: Examples, dataset: Dataset) -> None:
    """Refuse examples that a task brings where they do not fit the data set.

    Raises:
        UsageError: There are none, or shapes or labels are others.
    """
    if not len(brought):
        raise UsageError(f"{part_name(task)}: expected examples, got none")
    shape = tuple(brought.pixels([0]).shape[1:])
    if shape != dataset.shape:
        raise UsageError(
            f"{part_name(task)}: expected images of {dataset.shape}, as those of {dataset.name}, got {shape}"
        )
    low, high = int(brought.labels.min()), int(brought.labels.max())
    if low < 0 or high >= len(dataset.classes):
        raise UsageError(
            f"{part_name(task)}: expected labels from 0 to {len(dataset.classes) - 1}, the classes of {dataset.name}, "
            f"got labels from {low} to {high}"
        )


def _source(task: Task, settings: EvaluationSettings, dataset: Dataset) -> str | None:
    """Digest of what a task's shards depend on, without reading its examples; None where that cannot be said."""
    stamps = _stamps(task.files()) if isinstance(task, OwnExamples) else []
    if not stamps:
        return None
    facts = {
        "task": [digest(task), {field: str(value) for field, value in part_settings(task).items()}, task.shard_size],
        "files": stamps,
        "choice": [limit(task, settings), settings.seed],
        "data": [list(dataset.shape), list(dataset.classes), repr(dataset.preparation)],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _stamps(files: Sequence[Path]) -> list[list[object]]:
    stats = [(file, file.stat()) for file in files if file.is_file()]
    return [[str(file), stat.st_size, stat.st_mtime_ns] for file, stat in stats]


def _shards_of_sizes(task: Task, sizes: Sequence[tuple[str, int]], bank: Examples | None) -> tuple[Shard, ...]:
    address, shards, start = digest(task, bank), list[Shard](), 0
    for examples, n in sizes:
        shards.append(Shard(task=part_name(task), task_digest=address, start=start, stop=start + n, examples=examples))
        start += n
    return tuple(shards)
