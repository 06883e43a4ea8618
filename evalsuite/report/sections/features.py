"""Section: which networks recognise the true class in which networks' pixels, as a map and as a table."""

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.records.schema import Feature
from evalsuite.report.content import formats
from evalsuite.report.content.field import EMPTY, Field
from evalsuite.report.content.index import Index
from evalsuite.report.sections._base import Contents, Section, Values

_SHADES = 9


@final
@dataclass(frozen=True, kw_only=True)
class MatrixRow:
    """A network whose pixels are shown, and a field for each network that sees them: percent."""

    label: str
    fields: tuple[Field, ...]


@final
@dataclass(frozen=True, kw_only=True)
class PairRow:
    """A pair of networks: whose pixels, who sees them, and how sure that one is of the true class."""

    pixels_from: str
    seen_by: str
    examples: str
    confidence: str
    interval: str
    note: str


@final
@dataclass(frozen=True, kw_only=True)
class Matrix:
    """One task.

    Attributes:
        task: Its name.
        title: What it says of itself.
        labels: Networks, in the order of rows and columns.
        rows: By the network whose pixels are shown.
        finding: What it shows, in a sentence.
        left_out: Networks that are shown the parent's pixels only, and are no row.
        pairs: The same as a table.
    """

    task: str
    title: str
    labels: tuple[str, ...]
    rows: tuple[MatrixRow, ...]
    finding: str
    left_out: tuple[str, ...]
    pairs: tuple[PairRow, ...]


@final
@dataclass(frozen=True)
class Features(Section):
    """Informative features: what networks see in the pixels by which others decide."""

    id = "features"
    title = "Informative features"
    order = 80

    @override
    def applies(self, contents: Contents) -> bool:
        return bool(contents.index.results.features)

    @override
    def values(self, contents: Contents) -> Values:
        index = contents.index
        names = dict.fromkeys(feature.task for feature in index.results.features)
        return {"matrices": tuple(_matrix(index, name) for name in names)}


def _matrix(index: Index, name: str) -> Matrix:
    features = [feature for feature in index.results.features if feature.task == name]
    pairs = {(feature.pixels_from, feature.seen_by): feature for feature in features}
    shown = list(dict.fromkeys(feature.pixels_from for feature in features))
    task = index.task(name)
    return Matrix(
        task=formats.name(name),
        title=name if task is None or task.title is None else task.title,
        labels=tuple(_label(index, network) for network in shown),
        rows=tuple(
            MatrixRow(
                label=_label(index, source), fields=tuple(_field(pairs.get((source, viewer))) for viewer in shown)
            )
            for source in shown
        ),
        finding=_finding(index, pairs),
        left_out=tuple(dict.fromkeys(feature.seen_by for feature in features if feature.seen_by not in shown)),
        pairs=tuple(map(_pair, features)),
    )


def _label(index: Index, network: str) -> str:
    """The prune ratio says enough where there is one family."""
    facts = index.network(network)
    if facts is None or facts.role != "pruned" or len(index.lines) > 1:
        return network
    return formats.ratio(facts.prune_ratio)


def _field(feature: Feature | None) -> Field:
    if feature is None or feature.value is None:
        return EMPTY
    shade = min(int(feature.value * _SHADES), _SHADES - 1)
    return Field(shade=f"f{shade}", text=f"{100 * feature.value:.0f}")


def _pair(feature: Feature) -> PairRow:
    return PairRow(
        pixels_from=feature.pixels_from,
        seen_by=feature.seen_by,
        examples=formats.count(feature.n),
        confidence=formats.loss(feature.value),
        interval=formats.span(feature.low, feature.high),
        note=feature.reason or formats.NOTHING,
    )


def _finding(index: Index, pairs: dict[tuple[str, str], Feature]) -> str:
    """What the parent's pixels are worth to the parent, to pruned networks and to controls."""
    parent = index.results.parent.id
    reference = pairs.get((parent, parent))
    if reference is None or reference.value is None:
        return "The parent's own pixels have not been shown to it yet."
    clauses = [f"On its own pixels the parent gives the true class {formats.share(reference.value)} on average"]
    for role, noun in (("pruned", "pruned networks"), ("control", "controls")):
        by_network = {n.id: pairs.get((parent, n.id)) for n in index.results.networks if n.role == role}
        values = [feature.value for feature in by_network.values() if feature is not None and feature.value is not None]
        if values:
            clauses.append(f"{noun} give it {_range(values)} there")
    return "; ".join(clauses) + "."


def _range(values: list[float]) -> str:
    low, high = formats.share(min(values)), formats.share(max(values))
    return low if low == high else f"{low} to {high}"
