"""The share of outliers that pass where 95 % of the examples do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import Annotations, Losses, Sampled, Statistic, Stored, Weights
from evalsuite.measures._outliers import COLUMNS, Detection, Score

_PASS = 0.95
_ROUNDING = 1e-9


@final
@dataclass(frozen=True, kw_only=True)
class OodFpr95(Statistic):
    """False positive rate at a true positive rate of 95 %, as in Liang et al. 2018 (arXiv:1706.02690), section 4.

    The threshold is the highest score that at least 95 % of the examples reach; outliers that reach it pass.

    Attributes:
        score: As for `ood_auroc`: "confidence" or "energy".
    """

    needs: ClassVar[tuple[str, ...]] = COLUMNS
    title: ClassVar[str] = "outliers that pass with 95 % of the examples"

    score: Score = "confidence"

    @override
    def __call__(self, child: Stored, parent: Stored, known: Annotations, readings: Mapping[str, float]) -> Sampled:
        del readings
        return Sampled(n=len(known.labels), child=_figure(child, self.score), parent=_figure(parent, self.score))


def _figure(stored: Stored, score: Score) -> Callable[[Weights], Losses]:
    detection = Detection(stored, score)

    def figure(weights: Weights) -> Losses:
        inside, outside = detection.accepted(weights)
        # shares are quotients: 0.95 must not be missed by a rounding error
        threshold = (inside >= _PASS - _ROUNDING).argmax(axis=1)
        return np.asarray(outside[np.arange(len(outside)), threshold])

    return figure
