"""Section: how far each task lets one prune, as bars and as a table."""

from dataclasses import dataclass, replace
from typing import final

from typing_extensions import override

from evalsuite.report.content.index import Index
from evalsuite.report.figures import embed
from evalsuite.report.figures.bars import BarRow, ratio_bars
from evalsuite.report.figures.ratios import chart_rows, family_limit, finding, table_rows
from evalsuite.report.sections._base import Contents, Section, Values

_PANELS_A_CHART = 4


@final
@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure, and what it shows in a sentence."""

    svg: str
    finding: str


@final
@dataclass(frozen=True)
class Ratios(Section):
    """Commensurate prune ratio by task."""

    id = "ratios"
    title = "How far, by task"
    order = 10

    @override
    def values(self, contents: Contents) -> Values:
        index = contents.index
        rows = chart_rows(index)
        return {
            "charts": _charts(index, rows) if rows else (),
            "levels_share_rows": any(bar.levels for row in rows for bar in row.bars),
            "families": [line.family.id for line in index.lines],
            "rows": table_rows(index),
        }


def _charts(index: Index, rows: tuple[BarRow, ...]) -> tuple[Chart, ...]:
    charts = []
    for start in range(0, len(index.lines), _PANELS_A_CHART):
        part = slice(start, start + _PANELS_A_CHART)
        lines = index.lines[part]
        cut = [replace(row, bars=row.bars[part]) for row in rows]
        limits = [
            None if end is None or not end.ratio else end.ratio for end in (family_limit(index, line) for line in lines)
        ]
        figure = ratio_bars(cut, [line.family.id for line in lines], deployable=limits)
        caption = finding(index) if start == 0 else "The same tasks for the other families."
        svg = embed.inline(figure, key=f"ratios-{start}", title=f"Commensurate prune ratio by task. {caption}")
        charts.append(Chart(svg=svg, finding=caption))
    return tuple(charts)
