"""`evalsuite report`: write the pages of a run again."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalsuite.cli._console import echo, write_document
from evalsuite.cli._options import PLACE, RUN
from evalsuite.errors import UsageError
from evalsuite.parts.registry import names
from evalsuite.records.run_folder import REPORT, STORE

if TYPE_CHECKING:
    from evalsuite.records.schema import Results

_PAGE = "html"
_EXPORTERS = "evalsuite.export"
_MARK = '<meta name="generator" content="evalsuite">'


@click.command(
    epilog="\b\nExamples:\n  evalsuite report reports/model\n"
    '  evalsuite report reports/model --format markdown >> "$GITHUB_STEP_SUMMARY"\n'
    "  evalsuite report reports/model --format json | jq .deployable",
)
@RUN
@click.option("--format", "form", type=click.Choice([_PAGE, *names(_EXPORTERS)]), default=_PAGE, show_default=True)
@click.option("--out", type=PLACE, help="Where to write (html: RUN/report.html; else stdout).")
def command(run: Path, form: str, out: Path | None) -> None:
    """Write the report of RUN from what its store holds; no network is run.

    While a process works on RUN, the report shows what is there so far. RUN is only read where the report goes
    elsewhere.
    """
    from evalsuite.files.atomic import check_writable, write_atomically, write_own

    if out is not None:
        check_writable(out, "--out")
    results, pictures = _results(run, inside=form == _PAGE and out is None)
    text = _rendered(results, pictures, form)
    place = out
    if form == _PAGE and out is None:
        place = run / REPORT if run.is_dir() else run.with_name(REPORT)
    if place is None:
        write_document(text)
        return
    try:
        write_atomically(place, text) if out is not None else write_own(place, text, mark=_MARK)
    except OSError as error:
        raise UsageError(f"{place}: {error.strerror}; --out FILE writes the report elsewhere") from error
    echo(f"wrote {place}", err=True)


def _results(run: Path, *, inside: bool) -> "tuple[Results, dict[str, bytes]]":
    """What the run holds now; `inside`: `results.json` is brought up to date too, unless another process does it."""
    from evalsuite.analysis.results_file import current, read_results, refresh
    from evalsuite.records.database_errors import BusyError

    if not (run / STORE).exists():
        return read_results(run), {}
    if inside:
        try:
            return refresh(run)
        except BusyError:
            echo(f"{run}: a process works on this run; the report shows what is there so far", err=True)
        except (OSError, UsageError):
            pass  # a disk that may only be read: the page itself will say so
    return current(run)


def _rendered(results: "Results", pictures: dict[str, bytes], form: str) -> str:
    from evalsuite.export._base import Exporter
    from evalsuite.parts.registry import find
    from evalsuite.report.page import Picture, render

    if form != _PAGE:
        return find(_EXPORTERS, form, Exporter)().export(results)
    return render(results, [Picture(task=task, png=png) for task, png in pictures.items()])
