"""Checks that results agree with themselves: whoever is named is there, once, and nothing that is promised is missing.

Results that do not agree with themselves are no evidence of anything: they were edited, or something is wrong with the
run. That they do is no proof of the reverse.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator

from evalsuite.errors import RefusedInputError
from evalsuite.gate._derived import claims, confidences, numbers, verdicts
from evalsuite.records.schema import Results


def check_consistent(results: Results) -> None:
    """Look for a contradiction.

    Raises:
        RefusedInputError: There is one; the first is named.
    """
    for part in (_twice, _absent, numbers, verdicts, confidences, claims, _incomplete, _counts, _standard):
        if (contradiction := next(part(results), None)) is not None:
            raise RefusedInputError(f"expected results that agree with themselves, got others: {contradiction}")


def _twice(results: Results) -> Iterator[str]:
    tables: dict[str, Iterable[Hashable]] = {
        "networks": (each.id for each in results.networks),
        "tasks": (each.name for each in results.tasks),
        "measures": (each.name for each in results.measures),
        "families": (each.id for each in results.families),
        "cells": ((each.task, each.measure, each.network) for each in results.cells),
        "potential": ((each.family, each.task, each.measure) for each in results.potential),
        "shipped": (each.id for each in results.shipped),
    }
    for table, keys in tables.items():
        repeated = next((key for key, count in Counter(keys).items() if count > 1), None)
        if repeated is not None:
            yield f"{table} name {repeated} twice"
    parents = [each for each in results.networks if each.role == "parent"]
    if len(parents) != 1:
        yield f"networks name {len(parents)} parents"


def _absent(results: Results) -> Iterator[str]:
    """Names that stand for nothing."""
    present = {
        "networks": {each.id for each in results.networks},
        "tasks": {each.name for each in results.tasks},
        "measures": {each.name for each in results.measures},
        "families": {each.id for each in results.families},
    }
    for place, table, name in _named(results):
        if name not in present[table]:
            yield f"{place} names {name!r}, which is not among the {table}"


def _named(results: Results) -> Iterator[tuple[str, str, str | None]]:
    """Who names whom: the place, the table in which the name has to stand, and the name."""
    for cell in results.cells:
        yield from (("a cell", "networks", cell.network), ("a cell", "tasks", cell.task))
        yield "a cell", "measures", cell.measure
    for row in results.potential:
        yield from (("a potential", "families", row.family), ("a potential", "tasks", row.task))
        yield "a potential", "measures", row.measure
    yield from ((n.id, "families", n.family) for n in results.networks if n.family is not None)
    for shipped in results.shipped:
        yield from (("shipped", "networks", shipped.id), ("shipped", "networks", shipped.of))
    held = (results.deployable, *(family.deployable for family in results.families))
    for each in (each for each in held if each is not None):
        yield from (("deployable", "networks", each.network), ("deployable", "families", each.family))


def _incomplete(results: Results) -> Iterator[str]:
    """What complete results may not lack."""
    senseless = {task.name for task in results.tasks if task.unavailable is not None}
    if strange := next((cell for cell in results.cells if cell.task in senseless), None):
        yield f"{strange.task} was not asked, and there is a cell of it"
    if results.complete:
        yield from (f"they are said to be complete, and {fault}" for fault in _lacking(results, senseless))


def _lacking(results: Results, senseless: set[str]) -> Iterator[str]:
    there: dict[tuple[str, str], set[str]] = {}
    for cell in results.cells:
        there.setdefault((cell.task, cell.measure), set()).add(cell.network)
        if cell.n is None:
            yield f"{cell.task}:{cell.measure} of {cell.network} is missing: {cell.reason}"
    evaluated = senseless | {name for name, _ in there}
    yield from (f"{task.name} was not evaluated" for task in results.tasks if task.name not in evaluated)
    # of the parent there is no distance to the parent
    others = {network.id for network in results.networks if network.role != "parent"}
    for (task, measure), networks in there.items():
        yield from (f"{task}:{measure} of {network} is missing" for network in others - networks)
    yield from (f"{each.inner} within {each.outer} is broken" for each in results.invariants if each.broken)


def _counts(results: Results) -> Iterator[str]:
    for each in results.invariants:
        most = min(each.inner_right, each.n - each.outer_right)
        if not max(0, each.inner_right - each.outer_right) <= each.violations <= most:
            yield f"{each.inner} within {each.outer} of {each.network}: counts that do not go together"
    for shipped in results.shipped:
        if shipped.disagreements > shipped.n or shipped.holds != (shipped.disagreements == 0):
            yield f"{shipped.disagreements} of {shipped.n} differ of {shipped.id}, said to hold: {shipped.holds}"


def _standard(results: Results) -> Iterator[str]:
    standard = results.parent.standard
    if standard is None:
        return
    if not standard.low <= standard.high or standard.not_finite > standard.n:
        yield "the parent's own loss has no interval, or more outputs are not finite than there are"
    if standard.shown_better and standard.low > standard.trivial_loss:
        yield "the parent is said to be better than a trivial answer, and its loss is not"
