"""Statistic: the area under the risk-coverage curve, which is small where a network knows when it is wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from scipy.special import digamma
from typing_extensions import override

from evalsuite.measures._base import Annotations, Losses, ReadColumn, Statistic, Stored, WeightedStatistic, Weights
from evalsuite.measures._columns import CONFIDENCE, ENERGY, PREDICTION
from evalsuite.measures._ranked import Ranked, owners, ranked
from evalsuite.measures._wrong import right


@final
@dataclass(frozen=True, kw_only=True)
class RiskCoverage(Statistic):
    """The mean over k of the error on the k examples with the largest score: selective prediction at any coverage.

    Risk and coverage are those of Geifman and El-Yaniv 2017 (arXiv:1705.08500, section 2), their area that of Geifman,
    Uziel and El-Yaniv 2019 (arXiv:1805.08206, section 3). Examples with equal scores count as in random order, in
    expectation.

    Attributes:
        score: What examples are rejected by: "confidence" (the softmax response) or "energy" (Liu et al. 2020).
        excess: Less the area of the best order of the same errors (section 4 of the latter): ranking alone, not error.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (PREDICTION, CONFIDENCE)
    title: ClassVar[str] = "area under the risk-coverage curve"

    score: Literal["confidence", "energy"] = "confidence"
    excess: bool = False

    @override
    def reads(self) -> tuple[ReadColumn, ...]:
        return PREDICTION, CONFIDENCE if self.score == "confidence" else ENERGY

    @override
    def __call__(
        self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]
    ) -> WeightedStatistic:
        return WeightedStatistic(
            n=len(truth.labels),
            child=self._figure(child, truth, readings),
            parent=self._figure(parent, truth, readings),
        )

    def _figure(self, stored: Stored, truth: Annotations, readings: Mapping[str, float]) -> Callable[[Weights], Losses]:
        score = stored.columns[self.score].astype(np.float64)
        wrong = (~right(stored, truth.labels, readings)).astype(np.float64).ravel()
        order = ranked(-score.ravel(), owners(score))
        best = ranked(wrong, owners(score))

        def figure(weights: Weights) -> Losses:
            area = _area(order, weights, wrong)
            return area - _area(best, weights, wrong) if self.excess else area

        return figure


def _area(order: Ranked, weights: Weights, wrong: Losses) -> Losses:
    """The mean over k = 1, ..., W of (errors among the first k) / k, in closed form over steps of equal score.

    A step that takes the mass from c to c + m and the errors from e to e + r m has the sum of (e + r j) / (c + j) over
    j = 1, ..., m, which is r m + (e - r c) (ψ(c + m + 1) - ψ(c + 1)).
    """
    mass, errors = order.sums(weights, np.ones_like(wrong), wrong)
    steps, failed = np.diff(mass, axis=1), np.diff(errors, axis=1)
    rate = np.divide(failed, steps, out=np.zeros_like(steps), where=steps > 0)
    harmonic = np.diff(digamma(mass + 1), axis=1)
    total = (failed + (errors[:, :-1] - rate * mass[:, :-1]) * harmonic).sum(axis=1)
    return np.asarray(total / mass[:, -1])
