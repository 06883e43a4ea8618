"""Is a network commensurate with its parent on one task? Losses of both on the same examples → a verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, final

import numpy as np
import numpy.typing as npt

from evalsuite.statistics import betting, proportion, tango
from evalsuite.statistics._interval import Interval, check_confidence, normal_quantile

Losses = npt.NDArray[np.float64]

_SAME = 1e-12  # a difference this close to the margin is the margin, but for rounding


@final
class Verdict(StrEnum):
    """What the examples show at the stated margin and confidence."""

    COMMENSURATE = "commensurate"
    NOT_COMMENSURATE = "not_commensurate"
    INCONCLUSIVE = "inconclusive"


class Paired(Protocol):
    """Losses of a network and of its parent on the same examples, as a measure returns them."""

    @property
    def child(self) -> Losses:
        """(n,), in [0, 1]."""

    @property
    def parent(self) -> Losses:
        """(n,), in [0, 1]."""

    @property
    def groups(self) -> npt.NDArray[np.int64] | None:
        """(n,) or (n, ways of grouping), where the claim is about the worst group, else None; -1 in a way: no group."""


@final
@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A network beside its parent.

    Where the examples are in groups, each figure is that of the group in which it is worst, so that `difference` is
    the largest rise of any group and not `loss` minus `parent_loss`.

    Attributes:
        n: Number of examples.
        loss: The network's mean loss.
        low: Lower end of the two-sided interval of the network's mean loss.
        high: Its upper end.
        parent_loss: The parent's mean loss.
        difference: Mean loss minus the parent's, by example, in [-1, 1].
        difference_low: One-sided lower bound of the difference.
        difference_high: One-sided upper bound of the difference.
        verdict: Commensurate where difference_high <= margin, not so where difference_low > margin.
        group: Where examples are in groups, (way of grouping, number) of the one whose mean rises most; else None.
        settles_at: About how many examples would settle an inconclusive verdict if the observed losses stayed; None
            where it is settled, or the difference is the margin.
    """

    n: int
    loss: float
    low: float
    high: float
    parent_loss: float
    difference: float
    difference_low: float
    difference_high: float
    verdict: Verdict
    settles_at: int | None
    group: tuple[int, int] | None = None


def compare(paired: Paired, *, margin: float, confidence: float) -> Comparison:
    """Decide whether the network's mean loss is within `margin` of its parent's.

    Losses that are all exactly 0 or 1 are compared by Tango's score interval and counted by Clopper and Pearson's;
    others by betting. With groups the claim is that no group exceeds the margin, an intersection-union test: its upper
    bound is the largest of the groups' upper bounds, uncorrected (to err, it has to err in the group that is worst);
    its lower bound is the largest of their lower bounds, at the error divided by the number of groups.

    Args:
        paired: Losses on the same examples, in any order.
        margin: The largest difference that counts as commensurate, in (-1, 1).
        confidence: Of each one-sided bound of the difference, and of the two-sided interval of the loss; in (0.5, 1).

    Raises:
        ValueError: No examples, losses outside [0, 1], shapes that differ, or margin or confidence out of range.
    """
    _check(paired, margin, confidence)
    members = _members(paired)
    binary = bool(np.isin(paired.child, (0.0, 1.0)).all() and np.isin(paired.parent, (0.0, 1.0)).all())
    judge = _counts if binary else _means
    correction = len(members)
    parts = [
        judge(paired.child[group], paired.parent[group], margin, confidence, 1 - (1 - confidence) / correction)
        for group in members.values()
    ]
    comparison = decided(parts, margin, len(paired.child))
    if paired.groups is None:
        return comparison
    worst = max(range(len(parts)), key=lambda k: (parts[k].difference, parts[k].difference_low))
    return replace(comparison, group=list(members)[worst])


def _members(paired: Paired) -> dict[tuple[int, int], npt.NDArray[np.bool_]]:
    """Which examples make up each group, by (way of grouping, number)."""
    if paired.groups is None:
        return {(0, 0): np.ones(len(paired.child), dtype=np.bool_)}
    ways = paired.groups.reshape(len(paired.groups), -1).T
    groups = [(k, int(g)) for k, way in enumerate(ways) for g in np.unique(way) if paired.groups.ndim == 1 or g >= 0]
    return {(k, group): ways[k] == group for k, group in groups}


def _counts(child: Losses, parent: Losses, margin: float, confidence: float, corrected: float) -> Comparison:
    """Losses of 0 and 1, before the verdict; lower bounds at the confidence `corrected`."""
    n = len(child)
    n10, n01, lost = int((child > parent).sum()), int((child < parent).sum()), int(child.sum())
    # the statistic at the margin grows with the square root of the number of examples
    score = tango.score(n10, n01, n, margin)
    z = normal_quantile(confidence if score < 0 else corrected)
    return _comparison(
        child,
        parent,
        loss=Interval(
            low=proportion.clopper_pearson(lost, n, confidence=corrected).low,
            high=proportion.clopper_pearson(lost, n, confidence=confidence).high,
        ),
        bounds=Interval(
            low=tango.lower(n10, n01, n, confidence=corrected), high=tango.upper(n10, n01, n, confidence=confidence)
        ),
        growth=(z / score) ** 2 if abs((n10 - n01) / n - margin) > _SAME else math.inf,
    )


def _means(child: Losses, parent: Losses, margin: float, confidence: float, corrected: float) -> Comparison:
    """Losses in [0, 1], before the verdict; lower bounds at the confidence `corrected`."""
    # examples may be sorted, by class say, and a bet must not know what comes next
    order = np.random.default_rng(0).permutation(len(child))
    loss, change = child[order], (child - parent)[order]
    signed = (-1.0, 1.0)
    bounds = Interval(
        low=betting.lower(change, confidence=corrected, support=signed),
        high=betting.upper(change, confidence=confidence, support=signed),
    )
    # the width of the bounds shrinks with the square root of the number of examples, or faster
    gap = margin - float(change.mean())
    width = bounds.high - margin + gap if gap > 0 else margin - gap - bounds.low
    return _comparison(
        child,
        parent,
        loss=Interval(
            low=betting.interval(loss, confidence=corrected).low,
            high=betting.interval(loss, confidence=confidence).high,
        ),
        bounds=bounds,
        growth=(width / gap) ** 2 if abs(gap) > _SAME else math.inf,
    )


def _comparison(child: Losses, parent: Losses, *, loss: Interval, bounds: Interval, growth: float) -> Comparison:
    n = len(child)
    return Comparison(
        n=n,
        loss=float(child.mean()),
        low=loss.low,
        high=loss.high,
        parent_loss=float(parent.mean()),
        difference=float((child - parent).mean()),
        difference_low=bounds.low,
        difference_high=bounds.high,
        verdict=Verdict.INCONCLUSIVE,
        settles_at=math.ceil(n * growth) if math.isfinite(growth) else None,
    )


def decided(parts: Sequence[Comparison], margin: float, n: int) -> Comparison:
    """The groups' figures as one, with the verdict."""
    worst = Comparison(
        n=n,
        loss=max(p.loss for p in parts),
        low=max(p.low for p in parts),
        high=max(p.high for p in parts),
        parent_loss=max(p.parent_loss for p in parts),
        difference=max(p.difference for p in parts),
        difference_low=max(p.difference_low for p in parts),
        difference_high=max(p.difference_high for p in parts),
        verdict=Verdict.INCONCLUSIVE,
        settles_at=None,
    )
    if worst.difference_high <= margin:
        return replace(worst, verdict=Verdict.COMMENSURATE)
    if worst.difference_low > margin:
        return replace(worst, verdict=Verdict.NOT_COMMENSURATE)
    return replace(worst, settles_at=_settles(parts, margin, worst.n))


def _settles(parts: Sequence[Comparison], margin: float, n: int) -> int | None:
    """All groups have to be shown within the margin, or the first of those beyond it beyond it."""
    beyond = [p for p in parts if p.difference > margin]
    pending = beyond or [p for p in parts if p.difference_high > margin]
    growths = [p.settles_at / p.n if p.settles_at is not None else math.inf for p in pending]
    growth = min(growths) if beyond else max(growths)
    # a bound can hold the margin by a rounding error: an unsettled verdict needs one more example at least
    return max(math.ceil(n * growth), n + 1) if math.isfinite(growth) else None


def _check(paired: Paired, margin: float, confidence: float) -> None:
    shape = paired.child.shape
    if len(shape) != 1 or shape[0] == 0 or paired.parent.shape != shape:
        raise ValueError(f"expected losses of the same n >= 1 examples, got {shape} and {paired.parent.shape}")
    if paired.groups is not None and (paired.groups.shape[:1] != shape or paired.groups.ndim > 2):
        raise ValueError(f"expected one group for each of {shape[0]} examples, got {paired.groups.shape}")
    if paired.groups is not None and paired.groups.ndim == 2 and not (paired.groups >= 0).any():
        raise ValueError("expected an example in one group at least, got none")
    for losses in (paired.child, paired.parent):
        if not ((losses >= 0) & (losses <= 1)).all():
            raise ValueError(f"expected losses in [0, 1], got {losses.min()} to {losses.max()}")
    if not -1 < margin < 1:
        raise ValueError(f"expected -1 < margin < 1, got {margin}")
    check_confidence(confidence)
