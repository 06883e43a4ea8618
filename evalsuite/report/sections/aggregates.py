"""Section: figures over many tasks at once - mean corruption errors and excess error, as panels and tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.records.schema import Aggregate, Excess, ExcessLine
from evalsuite.report.content import formats
from evalsuite.report.content.index import Index
from evalsuite.report.figures import embed
from evalsuite.report.figures.curves import Curve, Step, trend_panel
from evalsuite.report.sections._base import Contents, Section, Values

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
class CorruptionRow:
    """The mean corruption errors of a network on one set of corruptions beside one baseline."""

    beside: str
    network: str
    prune_ratio: str
    examples: str
    mce: str
    relative_mce: str
    note: str


@final
@dataclass(frozen=True, kw_only=True)
class ExcessRow:
    """The difference in excess error of a network."""

    network: str
    prune_ratio: str
    tasks: str
    examples: str
    excess: str
    note: str


@final
@dataclass(frozen=True, kw_only=True)
class SlopeRow:
    """The excess error of a pruner's networks as a multiple of the prune ratio."""

    pruner: str
    networks: str
    seeds: str
    slope: str


@final
@dataclass(frozen=True)
class Aggregates(Section):
    """What is read off several tasks at once."""

    id = "together"
    title = "Corruption and excess error"
    order = 90

    @override
    def applies(self, contents: Contents) -> bool:
        return bool(contents.index.results.aggregates or contents.index.results.excess)

    @override
    def values(self, contents: Contents) -> Values:
        index = contents.index
        return {
            "panels": (*_corruption_panels(index), *_excess_panels(index)),
            "corruption": _corruption_rows(index),
            "excess": tuple(map(_excess_row, index.results.excess)),
            "slopes": tuple(map(_slope_row, index.results.excess_lines)),
        }


def _corruption_panels(index: Index) -> tuple[Trend, ...]:
    panels: list[Trend] = []
    measured = [a for a in index.results.aggregates if a.value is not None]
    for k, key in enumerate(dict.fromkeys((a.name, a.set, a.baseline) for a in measured)):
        values = {a.network: a for a in measured if (a.name, a.set, a.baseline) == key}
        curves = _curves(index, values)
        measure, corruptions, baseline = key
        title, name, baseline = _TITLES[measure], formats.name(corruptions), _BASELINES.get(baseline, baseline)
        finding = f"{title} on {name} beside {baseline}, in percent: {_range(values)}."
        at_zero = values[index.results.parent.id].value if index.results.parent.id in values else 1.0
        figure = trend_panel(curves, level=1.0 if at_zero is None else at_zero)
        svg = embed.inline(figure, key=f"mce-{k}", title=finding)
        panels.append(Trend(name=f"{title}, {name}, beside {baseline}", svg=svg, finding=finding))
    return tuple(panels)


def _excess_panels(index: Index) -> tuple[Trend, ...]:
    values = {e.network: e for e in index.results.excess if e.value is not None}
    if not values:
        return ()
    looks = {line.family.pruner or line.family.id: look for look, line in reversed(list(enumerate(index.lines)))}
    trends = [(looks.get(t.pruner, 0), t.slope, t.low, t.high) for t in index.results.excess_lines]
    finding = f"Difference in excess error in points: {_range(values, points=True)}."
    svg = embed.inline(trend_panel(_curves(index, values), level=0.0, trends=trends), key="excess", title=finding)
    return (Trend(name="Difference in excess error", svg=svg, finding=finding),)


def _curves(index: Index, values: Mapping[str, Aggregate] | Mapping[str, Excess]) -> list[Curve]:
    curves = []
    for look, line in enumerate(index.lines):
        points = [(n.prune_ratio, values[n.id]) for n in line.networks if n.id in values]
        steps = [Step(ratio=r, loss=v.value, low=v.low, high=v.high, shown=True) for r, v in points if r is not None]
        curves.append(Curve(family=line.family.id, steps=tuple(steps), look=look))
    return curves


def _range(values: Mapping[str, Aggregate] | Mapping[str, Excess], *, points: bool = False) -> str:
    figures = [v.value for v in values.values() if v.value is not None]
    low, high = (formats.points(v) if points else formats.loss(v) for v in (min(figures), max(figures)))
    return low if len(figures) == 1 else f"{low} to {high}"


def _corruption_rows(index: Index) -> tuple[CorruptionRow, ...]:
    rows: dict[tuple[str, str, str], dict[str, Aggregate]] = {}
    for a in index.results.aggregates:
        rows.setdefault((a.set, a.baseline, a.network), {})[a.name] = a
    shown: list[CorruptionRow] = []
    for (name, baseline, network), both in rows.items():
        judged = index.network(network)
        counts = {a.n for a in both.values() if a.n is not None}
        reasons = "; ".join(dict.fromkeys(a.reason for a in both.values() if a.reason))
        row = CorruptionRow(
            beside=f"{formats.name(name)} beside {_BASELINES.get(baseline, baseline)}",
            network=network,
            prune_ratio=formats.ratio(judged.prune_ratio if judged else None),
            examples=formats.count(max(counts, default=None)),
            mce=_share(both.get("mce")),
            relative_mce=_share(both.get("relative_mce")),
            note=reasons or formats.NOTHING,
        )
        shown.append(row)
    return tuple(shown)


def _excess_row(row: Excess) -> ExcessRow:
    return ExcessRow(
        network=row.network,
        prune_ratio=formats.ratio(row.prune_ratio),
        tasks=formats.count(row.tasks),
        examples=formats.count(row.n),
        excess=_points(row.value, row.low, row.high),
        note=row.reason or formats.NOTHING,
    )


def _slope_row(line: ExcessLine) -> SlopeRow:
    return SlopeRow(
        pruner=line.pruner,
        networks=formats.count(line.points),
        seeds=formats.count(line.seeds),
        slope=_points(line.slope, line.low, line.high),
    )


def _share(a: Aggregate | None) -> str:
    return formats.NOTHING if a is None or a.value is None else f"{formats.loss(a.value)} {formats.span(a.low, a.high)}"


def _points(value: float | None, low: float | None, high: float | None) -> str:
    interval = formats.interval(low, high)
    return formats.points(value) if interval == formats.NOTHING else f"{formats.points(value)} {interval}"
