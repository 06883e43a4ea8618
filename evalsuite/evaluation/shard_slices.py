"""Which slices the examples of every shard belong to, as the store keeps it."""

from collections.abc import Sequence

from evalsuite.data import Dataset, Examples
from evalsuite.data._slices import Slices
from evalsuite.engines.shards import Cut, digest_of
from evalsuite.evaluation.examples import Asked
from evalsuite.records.facts import SliceFacts


def sliced(asked: Asked) -> SliceFacts | None:
    """The user's attributes by shard, for tasks that are asked about the run's held-out examples; None without any.

    Raises:
        UsageError: The table does not have one row for each held-out example.
    """
    slices, examples = asked.judging.slices, asked.examples
    if slices is None:
        return None
    numbers = slices.numbered(_rows(slices, asked.dataset, examples) if slices.ids is None else examples.ids)
    cuts = {cut.examples: cut for shards in asked.shards.values() for cut in shards if _is_of_the_run(cut, examples)}
    return {
        "attributes": {attribute: list(slices.values(attribute)) for attribute in slices.attributes},
        "shards": {
            shard: {attribute: of[cut.start : cut.stop] for attribute, of in numbers.items()}
            for shard, cut in cuts.items()
        },
    }


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


def _is_of_the_run(cut: Cut, examples: Examples) -> bool:
    """Whether a shard holds the run's examples at its place, and not a task's own."""
    return cut.examples == digest_of(examples.ids[cut.start : cut.stop])
