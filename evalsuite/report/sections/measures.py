"""Section: measures that the charts do not show, each with its commensurate prune ratios."""

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.report.content import formats
from evalsuite.report.content.index import Index
from evalsuite.report.figures.ratios import TaskReach, table_rows
from evalsuite.report.sections._base import Contents, Section, Values


@final
@dataclass(frozen=True, kw_only=True)
class MeasureReach:
    """A measure and how far each task lets one prune by it."""

    name: str
    title: str
    finding: str
    rows: tuple[TaskReach, ...]


@final
@dataclass(frozen=True)
class OtherMeasures(Section):
    """The same observations, read in other ways."""

    id = "measures"
    title = "Other measures"
    order = 50

    @override
    def values(self, contents: Contents) -> Values:
        index = contents.index
        names = dict.fromkeys(measure for measures in index.measures.values() for measure in measures[1:])
        return {
            "families": [line.family.id for line in index.lines],
            "measures": tuple(_measure(index, name) for name in names),
        }


def _measure(index: Index, name: str) -> MeasureReach:
    return MeasureReach(name=name, title=index.says(name), finding=_finding(index, name), rows=table_rows(index, name))


def _finding(index: Index, measure: str) -> str:
    """What a measure adds: where it gives out first and last."""
    reached = [
        (p.commensurate, p.task) for p in index.results.potential if p.measure == measure and p.commensurate is not None
    ]
    if not reached:
        return "no verdict."
    (low, first), (high, last) = min(reached), max(reached)
    if low == high:
        return f"commensurate to {formats.share(low)} on every task."
    ends = f"{formats.share(low)} on {formats.name(first)} and {formats.share(high)} on {formats.name(last)}"
    return f"commensurate to between {ends}."
