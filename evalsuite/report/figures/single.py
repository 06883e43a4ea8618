"""Single figures of the report, as matplotlib's `Figure` without pyplot."""

from matplotlib.figure import Figure

from evalsuite.errors import UnknownNameError
from evalsuite.records.schema import Results
from evalsuite.report.content.index import indexed
from evalsuite.report.figures import losses, ratio_bars, ratios


def loss_figure(results: Results, task: str, measure: str | None = None) -> Figure:
    """Loss against prune ratio on one task: a curve a family with its interval, the parent's level and the margin.

    Args:
        results: What the run has to say.
        task: Full name of a task.
        measure: Name of a measure that is read off it; None: the one that the report shows.

    Raises:
        UnknownNameError: The results hold no such task, or no such measure of it.
    """
    index = indexed(results)
    charted = index.task(task)
    if charted is None:
        raise UnknownNameError("task", task, [each.name for each in index.results.tasks])
    measures = index.measures.get(task, ())
    if measure is not None and measure not in measures:
        raise UnknownNameError("measure", measure, measures)
    return losses.figure(index, charted, measure or index.shown(task))


def ratio_figure(results: Results) -> Figure:
    """Commensurate prune ratio by task, a panel a family, with a line at each family's deployable ratio."""
    index = indexed(results)
    ends = [ratios.family_limit(index, line) for line in index.lines]
    return ratio_bars(
        ratios.chart_rows(index),
        [line.family.id for line in index.lines],
        deployable=[None if end is None or not end.ratio else end.ratio for end in ends],
    )
