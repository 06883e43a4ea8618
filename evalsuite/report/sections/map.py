"""Section: tasks × prune ratios, coloured by the difference to the parent, signed by the verdict."""

from collections import Counter
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.records.schema import Cell, Network, Task, Unit
from evalsuite.report.content import formats
from evalsuite.report.content.field import EMPTY, Field
from evalsuite.report.content.index import FamilyResults, Group, Index
from evalsuite.report.figures.curves import SMALLEST_SCALE
from evalsuite.report.figures.ratios import family_limit
from evalsuite.report.sections._base import Contents, Section, Values

_EDGES = (-2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 8.0, 16.0)


@final
@dataclass(frozen=True, kw_only=True)
class MapRow:
    """A task and its fields, one a network: sign and difference in points."""

    task: str
    binding: bool
    required: bool
    fields: tuple[Field, ...]


@final
@dataclass(frozen=True, kw_only=True)
class MapGroup:
    """Rows of one kind."""

    kind: str
    rows: tuple[MapRow, ...]


@final
@dataclass(frozen=True, kw_only=True)
class Map:
    """The map of one family; `deployable` is the column that the verdict names, or None."""

    family: str
    ratios: tuple[str, ...]
    groups: tuple[MapGroup, ...]
    deployable: int | None
    finding: str


@final
@dataclass(frozen=True)
class VerdictMap(Section):
    """Every verdict at a glance: one map a family that has networks."""

    id = "map"
    title = "Verdict map"
    order = 30

    @override
    def values(self, contents: Contents) -> Values:
        index = contents.index
        return {"maps": tuple(_map(index, line) for line in index.lines if line.networks)}


def _map(index: Index, line: FamilyResults) -> Map:
    ends = family_limit(index, line)
    column = next((k for k, n in enumerate(line.networks) if ends is not None and n.id == ends.network), None)
    groups = tuple(MapGroup(kind=g.kind, rows=tuple(_row(index, line, g, t) for t in g.tasks)) for g in index.groups)
    return Map(
        family=line.family.id,
        ratios=tuple(_ratio(n) for n in line.networks),
        groups=groups,
        deployable=column,
        finding=_finding(index, line),
    )


def _ratio(network: Network) -> str:
    return formats.ratio(network.target_ratio if network.prune_ratio is None else network.prune_ratio)


def _row(index: Index, line: FamilyResults, group: Group, task: Task) -> MapRow:
    ends = family_limit(index, line)
    measure = index.shown(task.name)
    # a kind with one task has no heading that would say it
    label = task.name.removeprefix(f"{group.kind}/") if len(group.tasks) > 1 and len(index.groups) > 1 else task.name
    scale = max(index.margin(task.name), SMALLEST_SCALE)
    return MapRow(
        task=formats.name(index.named(label, measure)),
        binding=ends is not None and ends.binding_task == task.name,
        required=task.required,
        fields=tuple(_field(index.cell(task.name, n.id), scale, index.unit(measure)) for n in line.networks),
    )


def _field(cell: Cell | None, scale: float, unit: Unit) -> Field:
    if cell is None or cell.difference is None:
        return EMPTY
    shade = sum(cell.difference > edge * scale for edge in _EDGES)
    return Field(shade=f"s{shade}", text=f"{formats.SIGNS[cell.verdict]} {_brief(cell.difference, unit)}".strip())


def _brief(difference: float, unit: Unit) -> str:
    """Three characters and a sign: +0.31, +2.3, +48."""
    size = abs(difference) * (100 if unit == "share" else 1)
    sign = "−" if difference < 0 else "+"
    if size < 0.005:
        return "0.00"
    return sign + (f"{size:.0f}" if size >= 9.95 else f"{size:.1f}" if size >= 0.995 else f"{size:.2f}")


def _finding(index: Index, line: FamilyResults) -> str:
    cells = [index.cell(t.name, n.id) for t in index.results.tasks for n in line.networks]
    verdicts = Counter(c.verdict for c in cells if c is not None and c.verdict is not None)
    total = sum(verdicts.values())
    if not total:
        return "No verdict has been reached."
    return (
        f"Of {formats.many(total, 'verdict')}, {formats.count(verdicts['commensurate'])} are commensurate (✓), "
        f"{formats.count(verdicts['not_commensurate'])} are not (✗), and {formats.count(verdicts['inconclusive'])} are "
        f"inconclusive (?)."
    )
