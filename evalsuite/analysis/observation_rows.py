"""Stored observations as rows of a table: an example, as one network answered it under one task."""

from collections.abc import Iterator

from evalsuite.analysis.evidence import Evidence
from evalsuite.records.store import Store


def observation_rows(store: Store) -> Iterator[dict[str, object]]:
    """Rows with `task`, `network`, `example` (its place among the task's, from 0), `label` and the task's columns.

    A column that has several values an example, one a draw, holds a list.

    Raises:
        IncompleteEvidenceError: The run has no networks yet.
        RefusedInputError: The store is damaged.
    """
    evidence = Evidence(store)
    for task in evidence.tasks:
        if task.unavailable:
            continue
        labels = evidence.labels(task).tolist()
        for network in evidence.networks:
            stored = evidence.stored(task, network)
            if stored is None:
                continue
            columns = {name: column.tolist() for name, column in {**stored.to_parent, **stored.columns}.items()}
            for example, label in enumerate(labels):
                place = {"task": task.name, "network": network.id, "example": example, "label": label}
                yield {**place, **{name: values[example] for name, values in columns.items()}}
