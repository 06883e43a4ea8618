"""Which examples every task is asked about: the run's held-out ones, or examples of its own."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from evalsuite.config.settings import EvaluationSettings
from evalsuite.data import Dataset, Examples, check_disjoint, choose
from evalsuite.data._disjoint import Files
from evalsuite.engines.shards import Cut, chosen_for, cuts
from evalsuite.errors import UsageError
from evalsuite.parts.names import part_name, part_settings
from evalsuite.records.store import Store
from evalsuite.tasks._base import Domain, Task
from evalsuite.tasks._names import digest


@final
@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a run asks, cut into shards.

    Attributes:
        judging: The tasks.
        dataset: What the networks were trained on.
        examples: The run's held-out examples, in order.
        shards: Shards of every task, by its name.
        training: Training examples that networks are shown first, by the name of the task; of most there are none.
    """

    judging: EvaluationSettings
    dataset: Dataset
    examples: Examples
    shards: Mapping[str, tuple[Cut, ...]]
    training: Mapping[str, Examples]

    def of(self, task: Task) -> Examples:
        """The examples of one task, read again where they are its own."""
        return examples_of(task, self.judging, self.dataset, self.examples)

    def digest(self, task: Task) -> str:
        """The task's part of addresses."""
        return digest(task, self.training.get(part_name(task)))


def asked(judging: EvaluationSettings, dataset: Dataset, examples: Examples, store: Store) -> Asked:
    """Cut what every task is asked about into shards, and tell the store their true classes.

    Own examples are read only where the store does not know their shards yet, so that a finished task costs nothing.

    Raises:
        UsageError: A task's own examples are missing, or do not fit the data set; a budget cannot have been meant.
        RefusedInputError: A file is corrupt.
    """
    for task in judging.tasks:
        check_task(task, dataset)
    training = _training(judging, dataset)
    found: dict[str, tuple[Cut, ...]] = {}
    for task in judging.tasks:
        source = _source(task, judging, dataset)
        known = None if source is None else store.cuts(source)
        if known is not None:
            found[part_name(task)] = _joined(task, known, training.get(part_name(task)))
            continue
        chosen = examples_of(task, judging, dataset, examples)
        shards = cuts(task, chosen, limit(task, judging), training.get(part_name(task)))
        store.set_labels({cut.examples: chosen.labels[cut.start : cut.stop].tolist() for cut in shards})
        if source is not None:
            store.set_cuts(source, [(cut.examples, cut.stop - cut.start) for cut in shards])
        found[part_name(task)] = shards
    return Asked(judging=judging, dataset=dataset, examples=examples, shards=found, training=training)


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


def _training(judging: EvaluationSettings, dataset: Dataset) -> dict[str, Examples]:
    """What networks are shown first, by the name of the task: chosen by the run's seed, the same for equal numbers."""
    available = 0 if dataset.train is None else len(dataset.train)
    wanted = {part_name(task): min(task.training(), available) for task in judging.tasks}
    if dataset.train is None:
        return {}
    chosen = {n: choose(dataset.train, n, judging.seed) for n in {*wanted.values()} - {0}}
    return {task: chosen[n] for task, n in wanted.items() if n}


def examples_of(task: Task, judging: EvaluationSettings, dataset: Dataset, examples: Examples) -> Examples:
    """The examples of a task's own, as many as it is judged on, chosen by the run's seed; else the run's `examples`.

    Raises:
        UsageError: Own examples are not like those of the data set, or stand in its training examples.
    """
    own = task.examples(dataset)
    if own is None:
        return examples
    _check(task, own, dataset)
    chosen = choose(own, min(limit(task, judging), len(own)), judging.seed)
    trained = dataset.train
    # photos are compared with photos: decoding all training examples of a large set would take longer than the task
    if trained is not None and isinstance(trained.images, Files) == isinstance(chosen.images, Files):
        check_disjoint(trained, chosen)
    return chosen


def limit(task: Task, judging: EvaluationSettings) -> int:
    """How many examples a task is judged on, where there are as many."""
    return min(judging.examples, chosen_for(task, judging.examples, judging.examples_for))


def _check(task: Task, own: Examples, dataset: Dataset) -> None:
    if not len(own):
        raise UsageError(f"{part_name(task)}: expected examples, got none")
    shape = tuple(own.pixels([0]).shape[1:])
    if shape != dataset.shape:
        raise UsageError(
            f"{part_name(task)}: expected images of {dataset.shape}, as those of {dataset.name}, got {shape}"
        )
    low, high = int(own.labels.min()), int(own.labels.max())
    if low < 0 or high >= len(dataset.classes):
        raise UsageError(
            f"{part_name(task)}: expected labels from 0 to {len(dataset.classes) - 1}, the classes of {dataset.name}, "
            f"got labels from {low} to {high}"
        )


def _source(task: Task, judging: EvaluationSettings, dataset: Dataset) -> str | None:
    """What a task's shards depend on, without reading its examples; None where that cannot be said."""
    stamps = _stamps(task.files())
    if not stamps:
        return None
    facts = {
        "task": [digest(task), {field: str(value) for field, value in part_settings(task).items()}, task.shard_size],
        "files": stamps,
        "choice": [limit(task, judging), judging.seed],
        "data": [list(dataset.shape), list(dataset.classes), repr(dataset.preparation)],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _stamps(files: Sequence[Path]) -> list[list[object]]:
    found = [(file, file.stat()) for file in files if file.is_file()]
    return [[str(file), stat.st_size, stat.st_mtime_ns] for file, stat in found]


def _joined(task: Task, shards: Sequence[tuple[str, int]], training: Examples | None) -> tuple[Cut, ...]:
    address = digest(task, training)
    found: list[Cut] = []
    start = 0
    for examples, n in shards:
        found.append(Cut(task=task, task_digest=address, start=start, stop=start + n, examples=examples))
        start += n
    return tuple(found)
