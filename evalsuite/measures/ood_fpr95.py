"""The share of outliers that pass where 95 % of the examples do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import Annotations, Losses, ReadColumn, Statistic, Stored, WeightedStatistic
from evalsuite.measures._columns import OUTLIERS
from evalsuite.measures._outliers import Score, detection

_PASS = 0.95
_ROUNDING = 1e-9


@final
@dataclass(frozen=True, kw_only=True)
class OodFpr95(Statistic):
    """False positive rate at a true positive rate of 95 %, as in Liang et al. 2018 (arXiv:1706.02690), section 4.

    The threshold is the highest score that at least 95 % of the examples reach; outliers that reach it pass.

    Attributes:
        score: As for `ood_auroc`: "confidence", "energy" or "knn".
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = OUTLIERS["confidence"]
    title: ClassVar[str] = "outliers that pass with 95 % of the examples"

    score: Score = "confidence"

    @override
    def reads(self) -> tuple[ReadColumn, ...]:
        return OUTLIERS[self.score]

    @override
    def __call__(
        self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]
    ) -> WeightedStatistic:
        del readings
        return detection(child, parent, truth, self.score, _outliers_passing)


def _outliers_passing(inside: Losses, outside: Losses) -> Losses:
    # shares are quotients: 0.95 must not be missed by a rounding error
    threshold = (inside >= _PASS - _ROUNDING).argmax(axis=1)
    return np.asarray(outside[np.arange(len(outside)), threshold])
