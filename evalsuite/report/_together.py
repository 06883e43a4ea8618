"""Figures over many tasks at once: mean corruption errors and excess error, as panels and tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from evalsuite.records.schema import Aggregate, Excess
from evalsuite.report import _svg
from evalsuite.report import _words as words
from evalsuite.report._curves import Curve, Step, trend_panel
from evalsuite.report._index import Index

Row = tuple[str, ...]
_TITLES = {"mce": "mCE", "relative_mce": "relative mCE"}
_BASELINES = {"parent": "the parent", "alexnet": "AlexNet, as published"}


@final
@dataclass(frozen=True, kw_only=True)
class Trend:
    """A figure against the prune ratio, and its sentence."""

    name: str
    svg: str
    finding: str


@final
@dataclass(frozen=True, kw_only=True)
class Together:
    """Everything that the section shows; without rows there is nothing to show.

    Attributes:
        panels: Figures against the prune ratio.
        corruption: set and baseline, network, prune ratio, n, mCE, relative mCE, what there is to say.
        excess: network, prune ratio, tasks, n, excess error, what there is to say.
        lines: pruner, networks, seeds, slope.
    """

    panels: tuple[Trend, ...]
    corruption: tuple[Row, ...]
    excess: tuple[Row, ...]
    lines: tuple[Row, ...]


def together(index: Index) -> Together:
    """What is read off several tasks at once."""
    results = index.results
    return Together(
        panels=(*_corruption_panels(index), *_excess_panels(index)),
        corruption=_corruption_rows(index),
        excess=tuple(_excess_row(row) for row in results.excess),
        lines=tuple(
            (line.pruner, words.count(line.points), words.count(line.seeds), _points(line.slope, line.low, line.high))
            for line in results.excess_lines
        ),
    )


def _corruption_panels(index: Index) -> tuple[Trend, ...]:
    found: list[Trend] = []
    of = [a for a in index.results.aggregates if a.value is not None]
    for k, key in enumerate(dict.fromkeys((a.name, a.set, a.baseline) for a in of)):
        values = {a.network: a for a in of if (a.name, a.set, a.baseline) == key}
        curves = _curves(index, values)
        title, name, baseline = _TITLES[key[0]], words.name(key[1]), _BASELINES.get(key[2], key[2])
        said = f"{title} on {name} beside {baseline}, in percent: {_range(values)}."
        at_zero = values[index.results.parent.id].value if index.results.parent.id in values else 1.0
        figure = trend_panel(curves, level=1.0 if at_zero is None else at_zero)
        svg = _svg.inline(figure, key=f"mce-{k}", title=said)
        found.append(Trend(name=f"{title}, {name}, beside {baseline}", svg=svg, finding=said))
    return tuple(found)


def _excess_panels(index: Index) -> tuple[Trend, ...]:
    values = {e.network: e for e in index.results.excess if e.value is not None}
    if not values:
        return ()
    looks = {line.family.pruner or line.family.id: look for look, line in reversed(list(enumerate(index.lines)))}
    trends = [(looks.get(t.pruner, 0), t.slope, t.low, t.high) for t in index.results.excess_lines]
    said = f"Difference in excess error in points: {_range(values, points=True)}."
    svg = _svg.inline(trend_panel(_curves(index, values), level=0.0, trends=trends), key="excess", title=said)
    return (Trend(name="Difference in excess error", svg=svg, finding=said),)


def _curves(index: Index, values: Mapping[str, Aggregate] | Mapping[str, Excess]) -> list[Curve]:
    found = []
    for look, line in enumerate(index.lines):
        known = [(n.prune_ratio, values[n.id]) for n in line.networks if n.id in values]
        steps = [Step(ratio=r, loss=v.value, low=v.low, high=v.high, shown=True) for r, v in known if r is not None]
        found.append(Curve(family=line.family.id, steps=tuple(steps), look=look))
    return found


def _range(values: Mapping[str, Aggregate] | Mapping[str, Excess], *, points: bool = False) -> str:
    known = [v.value for v in values.values() if v.value is not None]
    low, high = (words.points(v) if points else words.loss(v) for v in (min(known), max(known)))
    return low if len(known) == 1 else f"{low} to {high}"


def _corruption_rows(index: Index) -> tuple[Row, ...]:
    rows: dict[tuple[str, str, str], dict[str, Aggregate]] = {}
    for a in index.results.aggregates:
        rows.setdefault((a.set, a.baseline, a.network), {})[a.name] = a
    found: list[Row] = []
    for (name, baseline, network), both in rows.items():
        judged = index.network(network)
        counts = {a.n for a in both.values() if a.n is not None}
        values = [_share(both[kind]) if kind in both else words.NOTHING for kind in _TITLES]
        reasons = "; ".join(dict.fromkeys(a.reason for a in both.values() if a.reason))
        beside = f"{words.name(name)} beside {_BASELINES.get(baseline, baseline)}"
        ratio = words.ratio(judged.prune_ratio if judged else None)
        count = words.count(max(counts, default=None))
        found.append((beside, network, ratio, count, *values, reasons or words.NOTHING))
    return tuple(found)


def _excess_row(row: Excess) -> Row:
    value = _points(row.value, row.low, row.high)
    ratio, reason = words.ratio(row.prune_ratio), row.reason or words.NOTHING
    return (row.network, ratio, words.count(row.tasks), words.count(row.n), value, reason)


def _share(a: Aggregate) -> str:
    return words.NOTHING if a.value is None else f"{words.loss(a.value)} {words.span(a.low, a.high)}"


def _points(value: float | None, low: float | None, high: float | None) -> str:
    interval = words.interval(low, high)
    return words.points(value) if interval == words.NOTHING else f"{words.points(value)} {interval}"
