"""Renders results as one HTML file that needs no network, no JavaScript and no second file."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, final

from markupsafe import Markup

from evalsuite.parts.registry import find, names
from evalsuite.records.schema import Results
from evalsuite.report.content import formats
from evalsuite.report.content.facts import facts
from evalsuite.report.content.gaps import gaps
from evalsuite.report.content.index import FamilyResults, Index, indexed
from evalsuite.report.content.pictures import EXEMPLARS, Picture, check_png
from evalsuite.report.content.templates import asset, template
from evalsuite.report.content.verdict import answer, confidence_in_words, margin_in_words
from evalsuite.report.figures.ratios import family_limit
from evalsuite.report.sections._base import Contents, Section

__all__ = ["EXEMPLARS", "LIMIT", "Picture", "render"]
LIMIT: Final = 5_000_000
"""Bytes beyond which pictures are left out, and then the table of all cells."""
SECTIONS: Final = "evalsuite.report.sections"


@final
@dataclass(frozen=True, kw_only=True)
class RenderedSection:
    """A section of the page, and how the navigation leads to it."""

    id: str
    title: str
    html: Markup


@final
@dataclass(frozen=True, kw_only=True)
class FamilyClaim:
    """How far a family can be deployed, and the task that sets it."""

    name: str
    ratio: str
    binding: str


def render(results: Results, pictures: Sequence[Picture] = ()) -> str:
    """The report as one HTML document; the same input gives the same bytes.

    Beyond `LIMIT` bytes the pictures are left out, and then the table of all cells; the page says so.

    Args:
        results: What the run has to say.
        pictures: Strips of sample images, rendered small by the caller.

    Raises:
        UsageError: A picture is not a PNG.
    """
    for picture in pictures:
        check_png(picture)
    contents = Contents(index=indexed(results), pictures=tuple(pictures))
    html = _render(contents)
    if len(html.encode()) > LIMIT and contents.pictures:
        contents = replace(contents, pictures=(), pictures_left_out=len(pictures))
        html = _render(contents)
    if len(html.encode()) > LIMIT:
        html = _render(replace(contents, with_cells=False))
    return html


@cache
def sections() -> tuple[Section, ...]:
    """All sections, in the order in which they stand on the page."""
    parts = [find(SECTIONS, name, Section)() for name in names(SECTIONS)]
    return tuple(sorted(parts, key=lambda section: (section.order, section.id)))


def _render(contents: Contents) -> str:
    index = contents.index
    results, verdict = index.results, answer(index)
    style, script = asset("report.css"), asset("filter.js")
    return template("page.html").render(
        title=f"{results.parent.id} on {results.data.name}: {_lower(verdict.headline)}",
        results=results,
        answer=verdict,
        facts=facts(index),
        families=[_claim(index, line) for line in index.lines],
        gaps=gaps(index),
        margin_in_words=margin_in_words(index),
        confidence_in_words=confidence_in_words(index),
        sections=[
            RenderedSection(id=section.id, title=section.title, html=section.render(contents))
            for section in sections()
            if section.applies(contents)
        ],
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        style_hash=_digest(style),
        script_hash=_digest(script),
    )


def _claim(index: Index, line: FamilyResults) -> FamilyClaim:
    limit = family_limit(index, line)
    if limit is None:
        return FamilyClaim(name=line.family.id, ratio=formats.NOTHING, binding=formats.NOTHING)
    binding = formats.read_as(limit.binding_task, limit.binding_measure) if limit.binding_task else formats.NOTHING
    return FamilyClaim(name=line.family.id, ratio=formats.ratio(limit.ratio), binding=binding)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")
