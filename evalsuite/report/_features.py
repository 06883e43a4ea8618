"""Which networks recognise the true class in which networks' pixels: a map, and its figures as a table."""

from dataclasses import dataclass
from typing import final

from evalsuite.records.schema import Feature
from evalsuite.report import _words as words
from evalsuite.report._field import EMPTY, Field
from evalsuite.report._index import Index

Row = tuple[str, ...]
_SHADES = 9


@final
@dataclass(frozen=True, kw_only=True)
class Matrix:
    """One task.

    Attributes:
        task: Its name.
        title: What it says of itself.
        labels: Networks, in the order of rows and columns.
        rows: By the network whose pixels are shown, one field for each network that sees them: percent.
        finding: What it shows, in a sentence.
        left_out: Networks that are shown the parent's pixels only, and are no row.
        figures: pixels from, seen by, examples, confidence in percent, interval, what there is to say.
    """

    task: str
    title: str
    labels: Row
    rows: tuple[tuple[str, tuple[Field, ...]], ...]
    finding: str
    left_out: Row
    figures: tuple[Row, ...]


def matrices(index: Index) -> tuple[Matrix, ...]:
    """One a task that has figures of pairs."""
    names = dict.fromkeys(feature.task for feature in index.results.features)
    return tuple(_matrix(index, name) for name in names)


def _matrix(index: Index, name: str) -> Matrix:
    own = [feature for feature in index.results.features if feature.task == name]
    pairs = {(feature.pixels_from, feature.seen_by): feature for feature in own}
    shown = list(dict.fromkeys(feature.pixels_from for feature in own))
    task = index.task(name)
    return Matrix(
        task=words.name(name),
        title=name if task is None or task.title is None else task.title,
        labels=tuple(_label(index, network) for network in shown),
        rows=tuple((_label(index, of), tuple(_field(pairs.get((of, to))) for to in shown)) for of in shown),
        finding=_finding(index, pairs),
        left_out=tuple(dict.fromkeys(feature.seen_by for feature in own if feature.seen_by not in shown)),
        figures=tuple(_figures(feature) for feature in own),
    )


def _label(index: Index, network: str) -> str:
    """The prune ratio says enough where there is one family."""
    found = index.network(network)
    if found is None or found.role != "pruned" or len(index.lines) > 1:
        return network
    return words.ratio(found.prune_ratio)


def _field(feature: Feature | None) -> Field:
    if feature is None or feature.value is None:
        return EMPTY
    shade = min(int(feature.value * _SHADES), _SHADES - 1)
    return Field(shade=f"f{shade}", text=f"{100 * feature.value:.0f}")


def _figures(feature: Feature) -> Row:
    return (
        feature.pixels_from,
        feature.seen_by,
        words.count(feature.n),
        words.loss(feature.value),
        words.span(feature.low, feature.high),
        feature.reason or words.NOTHING,
    )


def _finding(index: Index, pairs: dict[tuple[str, str], Feature]) -> str:
    """What the parent's pixels are worth to the parent, to pruned networks and to controls."""
    parent = index.results.parent.id
    own = pairs.get((parent, parent))
    if own is None or own.value is None:
        return "The parent's own pixels have not been shown to it yet."
    said = [f"On its own pixels the parent gives the true class {words.share(own.value)} on average"]
    for role, noun in (("pruned", "pruned networks"), ("control", "controls")):
        found = {n.id: pairs.get((parent, n.id)) for n in index.results.networks if n.role == role}
        values = [feature.value for feature in found.values() if feature is not None and feature.value is not None]
        if values:
            said.append(f"{noun} give it {_range(values)} there")
    return "; ".join(said) + "."


def _range(values: list[float]) -> str:
    low, high = words.share(min(values)), words.share(max(values))
    return low if low == high else f"{low} to {high}"
