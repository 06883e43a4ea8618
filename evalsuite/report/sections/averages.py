"""Section: average and minimum prune potential over sets of tasks, and over the seeds of each pruner."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import final

from typing_extensions import override

from evalsuite.records.schema import Average, Results
from evalsuite.report.content import formats
from evalsuite.report.sections._base import Contents, Section, Values


@final
@dataclass(frozen=True, kw_only=True)
class AverageRow:
    """A family, or the seeds of a pruner, over one set of tasks."""

    family: str
    set: str
    measure: str
    tasks: str
    average: str
    minimum: str


@final
@dataclass(frozen=True)
class Averages(Section):
    """Prune potential over sets of tasks."""

    id = "averages"
    title = "Averages"
    order = 120

    @override
    def values(self, contents: Contents) -> Values:
        results = contents.index.results
        return {"rows": (*map(_row, results.averages), *_over_seeds(results))}


def _row(average: Average) -> AverageRow:
    return AverageRow(
        family=average.family,
        set=average.set,
        measure=average.measure,
        tasks=formats.count(average.n),
        average=formats.ratio(average.average),
        minimum=formats.ratio(average.minimum),
    )


def _over_seeds(results: Results) -> list[AverageRow]:
    """Mean ± s.d. over the seeds of each pruner that has several."""
    pruners = {family.id: family.pruner for family in results.families}
    seeds: dict[tuple[str, str, str], list[Average]] = {}
    for each in results.averages:
        seeds.setdefault((pruners.get(each.family) or each.family, each.set, each.measure), []).append(each)
    return [
        AverageRow(
            family=f"{pruner}, mean ± s.d. of {len(members)} seeds",
            set=name,
            measure=measure,
            tasks=formats.count(members[0].n),
            average=_spread(member.average for member in members),
            minimum=_spread(member.minimum for member in members),
        )
        for (pruner, name, measure), members in seeds.items()
        if len(members) > 1
    ]


def _spread(values: Iterable[float | None]) -> str:
    figures = [v for v in values if v is not None]
    return f"{formats.ratio(fmean(figures))} ± {100 * pstdev(figures):.1f}" if figures else formats.NOTHING
