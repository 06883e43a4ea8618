"""Results as a short summary in Markdown, fit for a pull request or the step summary of a CI job."""

import re
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.export._base import Exporter
from evalsuite.gate.checks import GateResult
from evalsuite.records.schema import Results
from evalsuite.report.content import formats
from evalsuite.report.content.gaps import gaps
from evalsuite.report.content.index import Index, indexed
from evalsuite.report.content.verdict import answer, margins
from evalsuite.report.figures.ratios import family_limit, table_rows

_MOST_ROWS = 300
_MOST_GAPS = 12
_SPECIAL = re.compile(r"([\\*_\[\]~])")


@final
@dataclass(frozen=True)
class Markdown(Exporter):
    """A summary for people who read a pull request."""

    @override
    def export(self, results: Results, verdict: GateResult | None = None) -> str:
        del verdict
        return summary(results)


def summary(results: Results) -> str:
    """The verdict, what is not covered, and a table of what each task allows.

    At most 60 lines and a table of 300 rows, far below what CI services accept.
    """
    index = indexed(results)
    verdict, run = answer(index), index.results.run
    subject = f"{_prose(formats.name(index.results.parent.id))} on {_prose(formats.name(index.results.data.name))}"
    lines = [
        f"## {_prose(verdict.headline)}",
        "",
        f"{subject}, margin {margins(index)}, confidence {formats.share(run.confidence, 3)}.",
        "",
        *(f"{_prose(sentence)}\n" for sentence in (*verdict.warnings, *verdict.sentences)),
        *_families(index),
        *_not_covered(index),
        *_table(index),
    ]
    if run.command:
        fence = "`" * max(3, 1 + max((len(m) for m in re.findall("`+", run.command)), default=0))
        lines += ["", "Reproduce:", "", fence, " ".join(run.command.split()), fence]
    return "\n".join(lines).rstrip() + "\n"


def _families(index: Index) -> list[str]:
    if len(index.lines) < 2:
        return []
    rows = []
    for line in index.lines[:20]:
        last = family_limit(index, line)
        binding = (
            formats.read_as(last.binding_task, last.binding_measure) if last and last.binding_task else formats.NOTHING
        )
        ratio = formats.share(last.ratio) if last else formats.NOTHING
        rows.append(f"| {_cell(formats.name(line.family.id))} | {ratio} | {_cell(binding)} |")
    return ["| Family | Deployable | Binding task |", "|---|--:|---|", *rows, ""]


def _not_covered(index: Index) -> list[str]:
    lacking = gaps(index)
    items = [f"- {_prose(gap.title)}: {_prose(item)}" for gap in lacking for item in gap.missing]
    if len(items) > _MOST_GAPS:
        items = [*items[:_MOST_GAPS], f"- {len(items) - _MOST_GAPS} more in the report"]
    return ["**Not covered**", "", *items, ""] if items else []


def _table(index: Index) -> list[str]:
    rows = table_rows(index)
    if not rows or not index.lines:
        return []
    families = [_cell(formats.name(line.family.id)) for line in index.lines]
    body = [
        f"| {_cell(r.task)} | {'yes' if r.required else 'no'} | {' | '.join(map(_cell, r.families))} |"
        for r in rows[:_MOST_ROWS]
    ]
    if len(rows) > _MOST_ROWS:
        body += ["", f"{formats.count(len(rows) - _MOST_ROWS)} more tasks stand in the report."]
    return [
        "Commensurate prune ratio, and prune potential in parentheses:",
        "",
        f"| Task | Required | {' | '.join(families)} |",
        f"|---|---|{'--:|' * len(families)}",
        *body,
    ]


def _prose(text: str) -> str:
    """Foreign text as text: code between backticks stays, everything that Markdown or HTML would act on is escaped."""
    parts = " ".join(text.split()).split("`")
    return "`".join(part if k % 2 else _SPECIAL.sub(r"\\\1", _entities(part)) for k, part in enumerate(parts))


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
