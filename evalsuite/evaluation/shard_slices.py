"""Slices by shard: to which of the user's slices the examples of every shard belong, as the store keeps it."""

from collections.abc import Sequence

from evalsuite.data import Dataset, Examples
from evalsuite.data._slices import Slices
from evalsuite.engines._items import Shard, shard_digest
from evalsuite.evaluation.examples import EvaluationExamples
from evalsuite.records.stored import SlicesByShard


def slices_by_shard(evaluated: EvaluationExamples) -> SlicesByShard | None:
    """The user's attributes by shard, for tasks that are asked about the run's held-out examples; None without any.

    Raises:
        UsageError: The table does not have one row for each held-out example.
    """
    slices, examples = evaluated.settings.slices, evaluated.examples
    if slices is None:
        return None
    numbers = slices.numbered(_rows(slices, evaluated.dataset, examples) if slices.ids is None else examples.ids)
    every = [shard for shards in evaluated.shards.values() for shard in shards]
    of_the_run = {shard.examples: shard for shard in every if _is_of_the_run(shard, examples)}
    return SlicesByShard(
        attributes={attribute: tuple(slices.values(attribute)) for attribute in slices.attributes},
        shards={
            key: {attribute: tuple(rows[shard.start : shard.stop]) for attribute, rows in numbers.items()}
            for key, shard in of_the_run.items()
        },
    )


def _rows(slices: Slices, dataset: Dataset, examples: Examples) -> Sequence[int]:
    """The row of each chosen example; a table may also have rows for held-out examples that were left out."""
    held_out = dataset.test
    whole = len(held_out.images)
    dropped = dataset.overlap + dataset.duplicates
    left_out = dropped > 0 and whole == len(held_out) + dropped
    slices.check_rows([len(held_out), whole] if left_out else [len(held_out)], dataset.name)
    if len(slices.rows) == len(held_out):
        place = {position: row for row, position in enumerate(held_out.positions.tolist())}
        return [place[position] for position in examples.positions.tolist()]
    return examples.positions.tolist()


def _is_of_the_run(shard: Shard, examples: Examples) -> bool:
    """Whether a shard holds the run's examples at its place, and not a task's own."""
    return shard.examples == shard_digest(examples.ids[shard.start : shard.stop])
