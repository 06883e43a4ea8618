"""Works out anew what follows from the cells: their verdicts, how far each family goes, and what is deployable."""

import math
from collections.abc import Iterator, Mapping, Sequence

from evalsuite.records.schema import Cell, Deployable, Family, Network, Potential, Results
from evalsuite.statistics.compare import Comparison, Verdict
from evalsuite.statistics.deployable import Claim, deployable
from evalsuite.statistics.potential import Potential as Reached
from evalsuite.statistics.potential import potential

_SAME = 1e-9
_NUMBERS = ("n", "loss", "low", "high", "parent_loss", "difference", "difference_low", "difference_high")
Key = tuple[str, str, str]
"""Family, task, measure."""


def numbers(results: Results) -> Iterator[str]:
    """What is wrong with the numbers of single cells."""
    tops = {measure.name: 1.0 if measure.unit == "share" else math.inf for measure in results.measures}
    for cell in results.cells:
        there = [getattr(cell, name) is not None for name in _NUMBERS]
        if any(there) != all(there):
            yield f"{_title(cell)} has some of its numbers and lacks others"
        elif all(there):
            yield from (f"{_title(cell)} {fault}" for fault in _faults(cell, tops[cell.measure]))
        elif cell.reason is None or cell.verdict is not None:
            yield f"{_title(cell)} has no numbers, and no reason why, or a verdict"


def _faults(cell: Cell, top: float) -> Iterator[str]:
    """Of a cell with numbers; figures lie in [0, top]."""
    loss, low, high, parent, difference, least, most = (_number(cell, name) for name in _NUMBERS[1:])
    if not all(-_SAME <= each <= top + _SAME for each in (loss, low, high, parent)):
        yield f"has a loss outside [0, {top:g}]"
    if not all(abs(each) <= top + _SAME for each in (difference, least, most)):
        yield f"has a difference outside [-{top:g}, {top:g}]"
    if not (_between(low, loss, high) and _between(least, difference, most)):
        yield "has an interval that is far from its estimate"
    # of groups each figure is that of the worst one
    if cell.group is None and abs(loss - parent - difference) > _SAME:
        yield f"has a difference of {difference:.6g}, and losses of {loss:.6g} and {parent:.6g}"


def _between(low: float, estimate: float, high: float) -> bool:
    """Whether an interval goes with an estimate.

    Intervals of means that are found by betting leave out the estimate itself now and then, by less than their width.
    """
    width = high - low
    return width >= -_SAME and low - width - _SAME <= estimate <= high + width + _SAME


def verdicts(results: Results) -> Iterator[str]:
    """Verdicts that are not those of their numbers."""
    margins, parent = _margins(results), _parent(results)
    for cell in results.cells:
        if cell.n is None:
            continue
        expected = None if cell.network == parent else _verdict(cell, margins[cell.task])
        if cell.verdict != expected:
            yield f"{_title(cell)} is said to be {cell.verdict}, and its numbers say {expected}"


def _verdict(cell: Cell, margin: float) -> str:
    if cell.reason is not None:
        return Verdict.INCONCLUSIVE
    if _number(cell, "difference_high") <= margin:
        return Verdict.COMMENSURATE
    return Verdict.NOT_COMMENSURATE if _number(cell, "difference_low") > margin else Verdict.INCONCLUSIVE


def confidences(results: Results) -> Iterator[str]:
    """Margins and confidences that are not those of the run."""
    run, margins = results.run, _margins(results)
    families = len(results.families)
    each_one = 1 - (1 - run.confidence) / max(1, families)
    if not _same(each_one, run.confidence_each):
        yield f"confidence {run.confidence} of {families} families is said to be {run.confidence_each} each"
    for row in results.potential:
        if not (_same(row.confidence, run.confidence_each) and _same(row.margin, margins[row.task])):
            yield f"{row.task}:{row.measure} of {row.family} has another margin or confidence than the run"


def claims(results: Results) -> Iterator[str]:
    """Claims of families that are not those of their cells."""
    cells = {(cell.task, cell.measure, cell.network): cell for cell in results.cells}
    stated = {(row.family, row.task, row.measure): row for row in results.potential}
    pairs = list(dict.fromkeys((cell.task, cell.measure) for cell in results.cells))
    reached: dict[Key, Reached | None] = {}
    for family in results.families:
        networks = _pruned_networks(results, family)
        for task, measure in pairs:
            key = (family.id, task, measure)
            steps = [cells.get((task, measure, network.id)) for network in networks]
            reached[key] = _reached(networks, steps, _margins(results)[task])
            yield from _same_claim(key, reached[key], stated.get(key), expected=any(steps))
    if strange := next((key for key in stated if key not in reached), None):
        yield f"{strange} has a potential and no cells"
    yield from _deployables(results, reached)


def _pruned_networks(results: Results, family: Family) -> list[Network]:
    pruned = [n for n in results.networks if n.family == family.id and n.role == "pruned" and n.prune_ratio is not None]
    return sorted(pruned, key=lambda network: network.prune_ratio or 0.0)


def _reached(networks: Sequence[Network], steps: Sequence[Cell | None], margin: float) -> Reached | None:
    """How far a family is shown to go; None where a step lacks evidence."""
    comparisons = [_comparison(cell) for cell in steps if cell is not None and cell.n is not None]
    if not comparisons or len(comparisons) < len(networks):
        return None
    return potential([network.prune_ratio or 0.0 for network in networks], comparisons, margin=margin)


def _comparison(cell: Cell) -> Comparison:
    assert cell.n is not None  # noqa: S101 - asked before
    return Comparison(
        n=cell.n,
        loss=_number(cell, "loss"),
        low=_number(cell, "low"),
        high=_number(cell, "high"),
        parent_loss=_number(cell, "parent_loss"),
        difference=_number(cell, "difference"),
        difference_low=_number(cell, "difference_low"),
        difference_high=_number(cell, "difference_high"),
        verdict=Verdict(cell.verdict or "inconclusive"),
        settles_at=cell.settles_at,
    )


def _same_claim(key: Key, derived: Reached | None, stated: Potential | None, *, expected: bool) -> Iterator[str]:
    if stated is None:
        if expected:
            yield f"{key} has cells and no potential"
        return
    ratio = None if derived is None else derived.commensurate
    if not _same(ratio, stated.commensurate):
        yield f"{key} is said to be commensurate up to {stated.commensurate}, and its cells say {ratio}"
    failure = None if derived is None or derived.first_failure is None else derived.first_failure
    ends = [None if each is None else (each.ratio, str(each.verdict)) for each in (failure, stated.first_failure)]
    if (ends[0] is None) != (ends[1] is None) or (ends[0] and ends[1] and not _same_end(ends[0], ends[1])):
        yield f"{key} is said to end at {ends[1]}, and its cells say {ends[0]}"


def _same_end(first: tuple[float, str], second: tuple[float, str]) -> bool:
    return _same(first[0], second[0]) and first[1] == second[1]


def _deployables(results: Results, reached: Mapping[Key, Reached | None]) -> Iterator[str]:
    """Of every family, and of the one that goes furthest."""
    ratios: list[float] = []
    for family in results.families:
        claims = _claimed(results, family, reached)
        ratio = deployable(claims).ratio if claims else None
        stated = family.deployable
        if (stated is None) != (ratio is None) or (stated is not None and not _same(stated.ratio, ratio)):
            yield f"{family.id} is said to be deployable at {stated and stated.ratio}, and its claims say {ratio}"
        if stated is not None:
            yield from _deployed(results, stated)
        ratios += [] if ratio is None else [ratio]
    furthest = None if results.deployable is None else results.deployable.ratio
    if not _same(furthest, max(ratios, default=None)):
        yield f"the deployable ratio is said to be {furthest}, and the families' are {ratios}"
    if results.deployable is not None and results.deployable not in [family.deployable for family in results.families]:
        yield f"{results.deployable.network} is said to be deployable, and no family says so"


def _deployed(results: Results, held: Deployable) -> Iterator[str]:
    network = next(each for each in results.networks if each.id == held.network)
    if network.role == "parent":
        if not _same(held.ratio, 0.0):
            yield f"the parent is said to be deployable at {held.ratio}"
    elif network.family != held.family or not _same(network.prune_ratio, held.ratio):
        yield f"{network.id} of {network.family} is said to be deployable at {held.ratio} of {held.family}"


def _claimed(results: Results, family: Family, reached: Mapping[Key, Reached | None]) -> list[Claim] | None:
    """The claims of all required tasks and measures; None where one lacks evidence."""
    measures = [measure.name for measure in results.measures if measure.required]
    evaluated = {(cell.task, cell.measure) for cell in results.cells}
    claims: list[Claim] = []
    for task in results.tasks:
        for measure in measures if task.required else ():
            claim = reached.get((family.id, task.name, measure))
            if task.unavailable is None and (task.name, measure) not in evaluated:
                continue  # the measure has no meaning there
            if claim is None:
                return None
            claims.append(Claim(task=task.name, measure=measure, potential=claim))
    return claims or None


def _margins(results: Results) -> dict[str, float]:
    return {task.name: results.run.margin if task.margin is None else task.margin for task in results.tasks}


def _parent(results: Results) -> str:
    return next(network.id for network in results.networks if network.role == "parent")


def _number(cell: Cell, name: str) -> float:
    value: float = getattr(cell, name)
    return value


def _same(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return first is second
    return abs(first - second) <= _SAME


def _title(cell: Cell) -> str:
    return f"{cell.task}:{cell.measure} of {cell.network}"
