"""A fragment of HTML that stands inside another page, such as a notebook: the answer and every verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from evalsuite.records.schema import Cell, Results, Verdict
from evalsuite.report.content import formats
from evalsuite.report.content.index import FamilyResults, Index, indexed
from evalsuite.report.content.templates import template
from evalsuite.report.content.verdict import answer

_COLOURS: Final[Mapping[Verdict | None, str]] = {
    "commensurate": "#b4d3ea",
    "not_commensurate": "#f2aa5f",
    "inconclusive": "#e3e6ea",
    None: "#ffffff",
}
"""Backgrounds on which dark text can be read; colour-blind readers tell them apart, and every one has its sign."""


@final
@dataclass(frozen=True, kw_only=True)
class VerdictField:
    """The verdict of one network on one task: what stands there, its colour, and its name for who cannot see it."""

    text: str
    colour: str
    verdict: str


@final
@dataclass(frozen=True, kw_only=True)
class VerdictMatrix:
    """The verdicts of a family: a row a task, a column a prune ratio."""

    family: str
    ratios: tuple[str, ...]
    rows: tuple[tuple[str, tuple[VerdictField, ...]], ...]


def fragment(results: Results) -> str:
    """The answer in a sentence, what it rests on, and a matrix of task × prune ratio for each family.

    It needs no style sheet, no script and no other file; names are escaped.
    """
    index = indexed(results)
    verdict = answer(index)
    return template("fragment.html").render(
        headline=_plain(verdict.headline),
        sentences=[_plain(sentence) for sentence in (*verdict.warnings, *verdict.sentences)],
        matrices=[_matrix(index, line) for line in index.lines if line.networks],
    )


def _matrix(index: Index, line: FamilyResults) -> VerdictMatrix:
    ratios = tuple(formats.ratio(n.target_ratio if n.prune_ratio is None else n.prune_ratio) for n in line.networks)
    rows = tuple(
        (
            index.named(task.name, index.shown(task.name)),
            tuple(_field(index.cell(task.name, network.id)) for network in line.networks),
        )
        for group in index.groups
        for task in group.tasks
        if not task.unavailable
    )
    return VerdictMatrix(family=line.family.id, ratios=ratios, rows=rows)


def _field(cell: Cell | None) -> VerdictField:
    verdict = None if cell is None else cell.verdict
    name = "not evaluated" if verdict is None else verdict.replace("_", " ")
    return VerdictField(text=formats.SIGNS[verdict] or formats.NOTHING, colour=_COLOURS[verdict], verdict=name)


def _plain(sentence: str) -> str:
    """Without the backticks between which names stand."""
    return sentence.replace("`", "")
