"""Section: pruning-identified exemplars - what most pruned networks see in one other way than their parent."""

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.records.schema import Exemplars, Results
from evalsuite.report.content import formats
from evalsuite.report.content.pictures import EXEMPLARS, EmbeddedPicture, embedded
from evalsuite.report.sections._base import Contents, Section, Values

_LISTED = 8


@final
@dataclass(frozen=True, kw_only=True)
class ExemplarRow:
    """The exemplars of a task and population; shares and errors in percent."""

    task: str
    population: str
    networks: str
    exemplars: str
    share: str
    parent_error: str
    child_error: str
    parent_error_elsewhere: str
    first: str


@final
@dataclass(frozen=True)
class ForgottenExamples(Section):
    """Examples that pruned networks agree to have forgotten."""

    id = "exemplars"
    title = "Forgotten examples"
    order = 70

    @override
    def applies(self, contents: Contents) -> bool:
        return bool(contents.index.results.exemplars)

    @override
    def values(self, contents: Contents) -> Values:
        results = contents.index.results
        return {
            "finding": _finding(results),
            "pictures": _pictures(contents),
            "rows": tuple(map(_row, results.exemplars)),
        }


def _pictures(contents: Contents) -> tuple[EmbeddedPicture, ...]:
    """Pictures of the populations that have exemplars on clean data."""
    populations = {each.population for each in contents.index.results.exemplars if each.task == "clean" and each.count}
    return tuple(
        embedded(picture, title=population)
        for picture in contents.pictures
        if (population := picture.task.removeprefix(EXEMPLARS)) != picture.task and population in populations
    )


def _finding(results: Results) -> str:
    """Where there are most of them, and how hard they are for the parent there."""
    measured = [e for e in results.exemplars if e.share is not None]
    if not any(e.count for e in measured):
        return "On no task do most networks of a population agree on another class than the parent's."
    most = max(measured, key=lambda e: e.share or 0.0)
    where = f"{formats.name(most.task)}, where {formats.name(most.population)} has {formats.share(most.share)}"
    hard = f"The parent errs on {formats.share(most.parent_error)} of these"
    if most.parent_error_elsewhere is not None:
        hard += f" and on {formats.share(most.parent_error_elsewhere)} of all others"
    return f"Most are on {where} of the examples. {hard}."


def _row(row: Exemplars) -> ExemplarRow:
    first = ", ".join(map(str, row.positions[:_LISTED])) + (", …" if row.count > _LISTED else "")
    return ExemplarRow(
        task=formats.name(row.task),
        population=row.population,
        networks=formats.count(row.networks),
        exemplars=f"{formats.count(row.count)} of {formats.count(row.n)}",
        share=f"{formats.loss(row.share)} {formats.span(row.low, row.high)}",
        parent_error=formats.loss(row.parent_error),
        child_error=formats.loss(row.child_error),
        parent_error_elsewhere=formats.loss(row.parent_error_elsewhere),
        first=first or formats.NOTHING,
    )
