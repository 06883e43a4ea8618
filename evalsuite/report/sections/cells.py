"""Section: every cell, by family, task and measure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.records.schema import Cell, Network, Task, Unit
from evalsuite.report.content import formats
from evalsuite.report.content.index import Index
from evalsuite.report.sections._base import Contents, Section, Values

_OTHERS = "parent and controls"
_MOST_CELLS = 5_000


@final
@dataclass(frozen=True, kw_only=True)
class CellRow:
    """A network on a task: its loss and difference with intervals, its verdict and what there is to say about it."""

    network: str
    loss: str
    difference: str
    verdict: str


@final
@dataclass(frozen=True, kw_only=True)
class Block:
    """Rows under one heading, e.g. the cells of one task and measure."""

    heading: str
    name: str
    rows: tuple[CellRow, ...]


@final
@dataclass(frozen=True, kw_only=True)
class CellTable:
    """All cells of one family (or of parent and controls), by task and measure."""

    title: str
    heading: str
    count: int
    blocks: tuple[Block, ...]


@final
@dataclass(frozen=True)
class AllCells(Section):
    """Every figure behind the report."""

    id = "cells"
    title = "All cells"
    order = 150

    @override
    def values(self, contents: Contents) -> Values:
        index = contents.index
        count = len(index.results.cells)
        return {
            "tables": _tables(index) if contents.with_cells else (),
            "count": count,
            "left_out": not contents.with_cells,
            "charted_only": count > _MOST_CELLS,
        }


def _tables(index: Index) -> tuple[CellTable, ...]:
    """Every cell, parent and controls last; where there are very many, only those of the measures in the charts."""
    whole = len(index.results.cells) <= _MOST_CELLS
    tables = [_table(index, line.family.id, line.networks, whole=whole) for line in index.lines]
    others = tuple(network for network in index.results.networks if network.role != "pruned")
    tables.append(_table(index, _OTHERS, others, whole=whole, heading="Network"))
    return tuple(table for table in tables if table.count)


def _table(
    index: Index, title: str, networks: Sequence[Network], *, whole: bool, heading: str = "Prune ratio"
) -> CellTable:
    blocks = []
    for task in index.results.tasks:
        for measure in index.measures.get(task.name, ())[: None if whole else 1]:
            pairs = [(n, cell) for n in networks if (cell := index.cell(task.name, n.id, measure)) is not None]
            if pairs:
                blocks.append(_block(index, task, measure, pairs))
    count = sum(len(block.rows) for block in blocks)
    return CellTable(title=title, heading=heading, count=count, blocks=tuple(blocks))


def _block(index: Index, task: Task, measure: str, pairs: Sequence[tuple[Network, Cell]]) -> Block:
    """What is the same in every row stands in the heading."""
    heading, unit = formats.read_as(task.name, measure), index.unit(measure)
    examples = {c.n for _, c in pairs if c.n is not None}
    parents = {c.parent_loss for _, c in pairs if c.parent_loss is not None}
    same = [] if unit == "share" else [f"in {unit}"]
    same += [f"n = {formats.count(n)}" for n in examples if len(examples) == 1]
    same += [f"parent {formats.loss(p, unit)}" for p in parents if len(parents) == 1]
    return Block(
        heading=", ".join([heading, *same]),
        name=heading.strip("`"),
        rows=tuple(_cell(n, c, index.margin(task.name), unit, n_differs=len(examples) > 1) for n, c in pairs),
    )


def _cell(network: Network, cell: Cell, margin: float, unit: Unit, *, n_differs: bool) -> CellRow:
    settles = cell.verdict == "inconclusive" and cell.settles_at is not None
    notes = (
        formats.SIGNS[cell.verdict],
        f"n ≈ {formats.rough(cell.settles_at)} would settle it" if settles and cell.settles_at is not None else "",
        f"n = {formats.count(cell.n)}" if n_differs else "",
        f"most in {cell.group}" if cell.group is not None else "",
        cell.reason,
    )
    return CellRow(
        network=formats.ratio(network.prune_ratio) if network.role == "pruned" else network.id,
        loss=_with(formats.loss(cell.loss, unit), formats.span(cell.low, cell.high, unit)),
        difference=_with(
            formats.points(cell.difference, unit=unit),
            formats.interval(cell.difference_low, cell.difference_high, margin, unit),
        ),
        verdict=" ".join(filter(None, notes)) or formats.NOTHING,
    )


def _with(value: str, interval: str) -> str:
    return value if interval == formats.NOTHING else f"{value} {interval}"
