"""Section: how the results were made, how verdicts are reached, and what they are no evidence for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.records.schema import Task
from evalsuite.report.content import formats
from evalsuite.report.content.gaps import not_evidence_for
from evalsuite.report.content.verdict import margins
from evalsuite.report.sections._base import Contents, Section, Values


@final
@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """A task with its parameters."""

    name: str
    title: str
    required: str
    examples: str
    version: str
    time: str
    parameters: str
    note: str


@final
@dataclass(frozen=True)
class HowItWasMade(Section):
    """The record of the run."""

    id = "how"
    title = "How it was made"
    order = 140

    @override
    def values(self, contents: Contents) -> Values:
        results = contents.index.results
        return {
            "results": results,
            "versions": _listed(results.run.versions),
            "arguments": _listed(results.parent.arguments),
            "lineage": tuple(map(_listed, results.parent.lineage)),
            "margins": margins(contents.index),
            "confidence": formats.share(results.run.confidence, 3),
            "not_evidence": not_evidence_for(contents.index),
            "tasks": tuple(map(_row, results.tasks)),
        }


def _listed(pairs: Mapping[str, object] | None) -> str:
    """`key value, key value`; nested values are written as Python does."""
    return ", ".join(f"{key} {_plain(value)}" for key, value in (pairs or {}).items()) or formats.NOTHING


def _plain(value: object) -> str:
    if value is None:
        return formats.NOTHING
    return (
        f"{value:g}"
        if isinstance(value, float)
        else " ".join(map(_plain, value))
        if isinstance(value, tuple)
        else str(value)
    )


def _row(task: Task) -> TaskRow:
    notes = (task.unavailable and f"not available: {task.unavailable}", task.note, *task.flags)
    return TaskRow(
        name=task.name,
        title=task.title or task.kind,
        required="required" if task.required else "",
        examples=formats.count(task.n),
        version=formats.or_dash(task.version),
        time=formats.duration(task.seconds),
        parameters=_listed(task.parameters),
        note="; ".join(filter(None, notes)),
    )
