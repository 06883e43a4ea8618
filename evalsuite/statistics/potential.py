"""How far one task lets one family be pruned: the paper's prune potential, and the ratio that is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from evalsuite.statistics.compare import Comparison, Verdict


@final
@dataclass(frozen=True, kw_only=True)
class Failure:
    """The first ratio that was not shown to be commensurate.

    Attributes:
        ratio: Its measured prune ratio.
        verdict: Not commensurate, or inconclusive.
        difference_high: Upper bound of its difference.
    """

    ratio: float
    verdict: Verdict
    difference_high: float


@final
@dataclass(frozen=True, kw_only=True)
class Potential:
    """How far a family can be pruned for one task and measure.

    Attributes:
        prune_potential: The largest measured ratio whose mean difference is at most the margin, 0 if there is none
            (Lost in Pruning, Liebenwein et al. 2021, definition 1): an estimate without a confidence, and not the
            first crossing.
        commensurate: The largest ratio such that it and every smaller one tested are shown commensurate, else 0.
        first_failure: What ended the claim; None where it reaches the end of the grid.
        censored: Whether the claim reaches the end of the grid, so that more might be shown with larger ratios.
        nonmonotone: Whether a larger ratio does well again after the claim ended (its verdict is commensurate), or
            its mean difference is within the margin where that of a smaller one is not.
    """

    prune_potential: float
    commensurate: float
    first_failure: Failure | None
    censored: bool
    nonmonotone: bool


def potential(ratios: Sequence[float], comparisons: Sequence[Comparison], *, margin: float) -> Potential:
    """Read the potential off a family's comparisons with its parent.

    Ratios are tested in increasing order and the claim ends at the first that is not shown: a fixed sequence, whose
    family-wise error is that of one test, without correction (Maurer, Hothorn and Lehmacher 1995).

    Args:
        ratios: Measured prune ratios in [0, 1], in increasing order; equal ones have to be shown all.
        comparisons: One for each ratio.
        margin: The one at which the comparisons were made.

    Raises:
        ValueError: No ratios, ratios that are not in order, or another number of comparisons.
    """
    if not ratios or len(ratios) != len(comparisons):
        raise ValueError(f"expected a comparison for each of one or more ratios, got {len(comparisons)}, {len(ratios)}")
    if any(a > b for a, b in pairwise(ratios)):
        raise ValueError(f"expected ratios in increasing order, got {list(ratios)}")
    shown = [c.verdict is Verdict.COMMENSURATE for c in comparisons]
    within = [c.difference <= margin for c in comparisons]
    end = shown.index(False) if False in shown else len(shown)
    failure = None
    if end < len(shown):
        failed = comparisons[end]
        failure = Failure(ratio=ratios[end], verdict=failed.verdict, difference_high=failed.difference_high)
    return Potential(
        prune_potential=max((r for r, good in zip(ratios, within, strict=True) if good), default=0.0),
        commensurate=max((r for r in ratios[:end] if failure is None or r < failure.ratio), default=0.0),
        first_failure=failure,
        censored=failure is None,
        nonmonotone=any(shown[end:]) or _returns(within),
    )


def _returns(within: Sequence[bool]) -> bool:
    return any(not a and b for a, b in pairwise(within))
