"""Section: loss against prune ratio, one panel a task or a shift."""

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.records.schema import Task
from evalsuite.report.content import formats
from evalsuite.report.content.index import FamilyResults, Index
from evalsuite.report.figures import embed
from evalsuite.report.figures.curves import family_mark
from evalsuite.report.figures.losses import panels
from evalsuite.report.sections._base import Contents, Section, Values


@final
@dataclass(frozen=True, kw_only=True)
class Mark:
    """Line and marker of a family in the panels."""

    svg: str
    family: str


@final
@dataclass(frozen=True, kw_only=True)
class LossRow:
    """The mean losses on a task: the parent's, and those of a family's networks."""

    task: str
    parent: str
    losses: tuple[str, ...]


@final
@dataclass(frozen=True, kw_only=True)
class LossTable:
    """Mean losses of a family by task and prune ratio."""

    family: str
    ratios: tuple[str, ...]
    rows: tuple[LossRow, ...]


@final
@dataclass(frozen=True)
class Losses(Section):
    """Mean loss against prune ratio."""

    id = "losses"
    title = "Loss against prune ratio"
    order = 20

    @override
    def values(self, contents: Contents) -> Values:
        index = contents.index
        return {
            "groups": panels(index),
            "marks": _marks(index),
            "has_controls": bool(index.controls),
            "tables": tuple(_table(index, line) for line in index.lines),
        }


def _marks(index: Index) -> tuple[Mark, ...]:
    """A single family needs no key."""
    names = [line.family.id for line in index.lines]
    return tuple(
        Mark(svg=embed.inline(family_mark(look), key=f"family-{look}", title=f"Mark of {name}"), family=name)
        for look, name in enumerate(names if len(names) > 1 else ())
    )


def _table(index: Index, line: FamilyResults) -> LossTable:
    return LossTable(
        family=line.family.id,
        ratios=tuple(formats.ratio(network.prune_ratio) for network in line.networks),
        rows=tuple(_row(index, line, task) for task in index.results.tasks if task.unavailable is None),
    )


def _row(index: Index, line: FamilyResults, task: Task) -> LossRow:
    measure = index.shown(task.name)
    cells = [index.cell(task.name, network.id) for network in line.networks]
    parent = next((cell.parent_loss for cell in cells if cell is not None and cell.parent_loss is not None), None)
    unit = index.unit(measure)
    return LossRow(
        task=formats.read_as(task.name, measure),
        parent=formats.loss(parent, unit),
        losses=tuple(formats.loss(cell.loss if cell else None, unit) for cell in cells),
    )
