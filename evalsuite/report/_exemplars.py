"""Pruning-identified exemplars: what most pruned networks see in one other way than their parent."""

from evalsuite.records.schema import Exemplars, Results
from evalsuite.report import _words as words

Row = tuple[str, ...]
_LISTED = 8


def rows(results: Results) -> tuple[Row, ...]:
    """task, population, networks, how many of n, share with interval, three errors, the first positions."""
    return tuple(_row(e) for e in results.exemplars)


def finding(results: Results) -> str:
    """Where there are most of them, and how hard they are for the parent there."""
    known = [e for e in results.exemplars if e.share is not None]
    if not any(e.count for e in known):
        return "On no task do most networks of a population agree on another class than the parent's."
    most = max(known, key=lambda e: e.share or 0.0)
    where = (
        f"{words.name(most.task)}, where {words.name(most.population)} has {words.share(most.share)} of the examples"
    )
    hard = f"The parent errs on {words.share(most.parent_error)} of these"
    if most.parent_error_elsewhere is not None:
        hard += f" and on {words.share(most.parent_error_elsewhere)} of all others"
    return f"Most are on {where}. {hard}."


def _row(e: Exemplars) -> Row:
    first = ", ".join(map(str, e.positions[:_LISTED])) + (", …" if e.count > _LISTED else "")
    return (
        words.name(e.task), e.population, words.count(e.networks), f"{words.count(e.count)} of {words.count(e.n)}",
        f"{words.loss(e.share)} {words.span(e.low, e.high)}", words.loss(e.parent_error), words.loss(e.child_error),
        words.loss(e.parent_error_elsewhere), first or words.NOTHING,
    )  # fmt: skip
