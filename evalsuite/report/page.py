"""Results → one HTML file that needs no network, no JavaScript and no second file."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from evalsuite.errors import UsageError
from evalsuite.records.schema import Results
from evalsuite.report import (
    _between,
    _exemplars,
    _features,
    _losses,
    _map,
    _ratios,
    _shipped,
    _svg,
    _tables,
    _together,
    _understood,
)
from evalsuite.report import _words as words
from evalsuite.report._curves import family_mark
from evalsuite.report._gaps import gaps, not_evidence_for
from evalsuite.report._index import Index, indexed
from evalsuite.report.figures import ratio_bars
from evalsuite.report.verdict import Answer, answer, confidence_in_words, margin_in_words, margins

LIMIT = 5_000_000
"""Bytes beyond which pictures are left out, and then the table of all cells."""
EXEMPLARS = "exemplars/"
"""What the name of a picture begins with that shows exemplars; the population's name follows."""
_PNG = b"\x89PNG\r\n\x1a\n"
_PANELS_A_CHART = 4
_ROW_OF_PICTURES = 3


@final
@dataclass(frozen=True, kw_only=True)
class Picture:
    """A strip of sample images as a task shows them to a network.

    Attributes:
        task: Name of the task, or `EXEMPLARS` and the name of a population.
        png: The strip as a PNG file.
    """

    task: str
    png: bytes


@final
@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure, and what it shows in a sentence."""

    svg: str
    finding: str


@final
@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture as the page holds it; sizes in pixels of the PNG."""

    task: str
    note: str
    width: int
    height: int
    source: str


@final
@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything the template reads."""

    index: Index
    title: str
    answer: Answer
    facts: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]
    levels_together: bool
    key: tuple[Chart, ...]
    panels: tuple[_losses.Panels, ...]
    maps: tuple[_map.Map, ...]
    pictures: tuple[tuple[str, tuple[Shown, ...]], ...]
    pictures_left_out: int
    together: _together.Together
    exemplars: tuple[Shown, ...]
    features: tuple[_features.Matrix, ...]
    cells: tuple[_tables.CellTable, ...]
    cells_left_out: bool


def render(results: Results, pictures: Sequence[Picture] = ()) -> str:
    """The report as one HTML document; the same input gives the same bytes.

    Beyond `LIMIT` bytes the pictures are left out, and then the table of all cells; the page says so.

    Args:
        results: What the run has to say.
        pictures: Strips of sample images, rendered small by the caller.

    Raises:
        UsageError: A picture is not a PNG.
    """
    page = _page(results, pictures)
    html = _render(page)
    if len(html.encode()) > LIMIT and (page.pictures or page.exemplars):
        page = replace(page, pictures=(), pictures_left_out=len(pictures), exemplars=())
        html = _render(page)
    if len(html.encode()) > LIMIT:
        html = _render(replace(page, cells=(), cells_left_out=True))
    return html


def _page(results: Results, pictures: Sequence[Picture]) -> Page:
    found = indexed(results)
    results = found.results
    verdict = answer(found)
    return Page(
        index=found,
        title=f"{results.parent.id} on {results.data.name}: {_lower(verdict.headline)}",
        answer=verdict,
        facts=_facts(found),
        charts=_charts(found),
        levels_together=any(bar.levels for row in _ratios.chart_rows(found) for bar in row.bars),
        key=_key(found),
        panels=_losses.panels(found),
        maps=_map.maps(found),
        pictures=_shown(found, pictures),
        pictures_left_out=0,
        together=_together.together(found),
        exemplars=_of_exemplars(results, pictures),
        features=_features.matrices(found),
        cells=_tables.cells(found),
        cells_left_out=False,
    )


def _facts(found: Index) -> tuple[tuple[str, str], ...]:
    """The few figures that stand beside the verdict, the parent's own quality first."""
    end, standard = found.results.deployable, found.results.parent.standard
    facts: list[tuple[str, str]] = [] if standard is None else [_understood.parent(standard)]
    if end is None or not end.ratio:
        return tuple(facts)
    if end.binding_task is not None:
        facts.append(("Binding task", words.read_as(end.binding_task, end.binding_measure)))
    clean = next((g.tasks[0].name for g in found.groups if g.kind == "clean"), None)
    reached = found.reached(end.family, clean) if end.family and clean else None
    if reached is not None and reached.commensurate is not None:
        facts.append(("By clean test data alone", words.share(reached.commensurate)))
    network = found.network(end.network)
    if network is not None and network.flop_reduction is not None:
        # a masked network multiplies by its zeros all the same, unless the hardware knows better
        masked = network.structure == "weights"
        label = "FLOPs saved, where zeros are skipped" if masked else "FLOPs saved at that ratio"
        facts.append((label, words.share(network.flop_reduction)))
    if network is not None:
        facts.append(("Network", words.name(network.id)))
    return tuple(facts)


def _charts(found: Index) -> tuple[Chart, ...]:
    rows = _ratios.chart_rows(found)
    charts = []
    for start in range(0, len(found.lines), _PANELS_A_CHART):
        part = slice(start, start + _PANELS_A_CHART)
        lines = found.lines[part]
        cut = [replace(row, bars=row.bars[part]) for row in rows]
        ends = [None if e is None or not e.ratio else e.ratio for e in (_ratios.end(found, line) for line in lines)]
        figure = ratio_bars(cut, [line.family.id for line in lines], deployable=ends)
        said = _ratios.finding(found) if start == 0 else "The same tasks for the other families."
        svg = _svg.inline(figure, key=f"ratios-{start}", title=f"Commensurate prune ratio by task. {said}")
        charts.append(Chart(svg=svg, finding=said))
    return tuple(charts) if rows else ()


def _key(found: Index) -> tuple[Chart, ...]:
    """Line and marker of each family; a single one needs no key."""
    names = [line.family.id for line in found.lines]
    marks = [_svg.inline(family_mark(k), key=f"family-{k}", title=f"Mark of {name}") for k, name in enumerate(names)]
    return tuple(Chart(svg=m, finding=n) for m, n in zip(marks, names, strict=True)) if len(names) > 1 else ()


def _shown(found: Index, pictures: Sequence[Picture]) -> tuple[tuple[str, tuple[Shown, ...]], ...]:
    """Pictures by kind, of the tasks that have a panel."""
    by_task: dict[str, list[Picture]] = {}
    for picture in pictures:
        if not picture.png.startswith(_PNG) or len(picture.png) < 24:
            raise UsageError(f"expected a PNG file as picture of {picture.task!r}, got {picture.png[:8]!r}")
        by_task.setdefault(picture.task, []).append(picture)
    shown = [
        (g.kind, tuple(_one(p, t.note or "") for t in _losses.chosen(found, g) for p in by_task.get(t.name, ())))
        for g in found.groups
    ]
    few = [(kind, strips) for kind, strips in shown if 0 < len(strips) < _ROW_OF_PICTURES]
    together = (", ".join(kind for kind, _ in few), tuple(strip for _, strips in few for strip in strips))
    many = [(kind, strips) for kind, strips in shown if len(strips) >= _ROW_OF_PICTURES]
    return (*([together] if few else []), *many)


def _of_exemplars(results: Results, pictures: Sequence[Picture]) -> tuple[Shown, ...]:
    """Pictures of the populations that have exemplars on clean data."""
    populations = {e.population for e in results.exemplars if e.task == "clean" and e.count}
    named = [(picture, picture.task.removeprefix(EXEMPLARS)) for picture in pictures]
    return tuple(
        _one(replace(picture, task=population), "")
        for picture, population in named
        if picture.task != population and population in populations
    )


def _one(picture: Picture, note: str) -> Shown:
    # the header chunk follows the signature: length, "IHDR", width, height
    width, height = (int.from_bytes(picture.png[k : k + 4]) for k in (16, 20))
    source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
    return Shown(task=words.name(picture.task), note=note, width=width, height=height, source=source)


def _render(page: Page) -> str:
    style, script = _asset("report.css"), _asset("filter.js")
    environment = Environment(
        loader=PackageLoader("evalsuite.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["code"] = _code
    template = environment.get_template("page.html")
    return template.render(
        page=page,
        results=page.index.results,
        several=len(page.index.lines) > 1,
        words=words,
        tables=_tables,
        between=_between,
        shipped=_shipped,
        understood=_understood,
        exemplars=_exemplars,
        ratios=_ratios,
        gaps=gaps(page.index),
        not_evidence=not_evidence_for(page.index),
        margins=margins(page.index),
        margin_in_words=margin_in_words(page.index),
        confidence_in_words=confidence_in_words(page.index),
        measures=_other_measures(page.index),
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        style_hash=_digest(style),
        script_hash=_digest(script),
        svg=Markup,
    )


def _other_measures(found: Index) -> tuple[str, ...]:
    """Measures that the charts do not show, in order of first use."""
    return tuple(dict.fromkeys(m for names in found.measures.values() for m in names[1:]))


def _asset(name: str) -> str:
    return files("evalsuite.report").joinpath("templates", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _code(text: str) -> Markup:
    """Escape, then set what stands between backticks as code."""
    set_as_code = re.sub(r"`([^`]*)`", lambda m: f"<code>{_breakable(m.group(1))}</code>", str(escape(text)))
    return Markup(set_as_code)  # noqa: S704 - escaped first


def _breakable(name: str) -> str:
    """Long names may break after a slash."""
    return name.replace("/", "/<wbr>").replace("?", "<wbr>?") if len(name) > 18 else name


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")
