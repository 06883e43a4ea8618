"""Statistic: one minus the area under the ROC curve by which outliers are told from examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import Annotations, Losses, ReadColumn, Statistic, Stored, WeightedStatistic
from evalsuite.measures._columns import OUTLIERS
from evalsuite.measures._outliers import Score, detection


@final
@dataclass(frozen=True, kw_only=True)
class OodAuroc(Statistic):
    """P(outlier scores higher than example) + P(equal) / 2: 0 is perfect detection, 1/2 is guessing.

    AUROC of out-of-distribution detection (Hendrycks and Gimpel 2017, arXiv:1610.02136), subtracted from 1.

    Attributes:
        score: "confidence": the maximum softmax probability of that paper. "energy": log sum exp of the logits, the
            negative free energy of Liu et al. 2020 (arXiv:2010.03759), equation 4 at temperature 1. "knn": the negative
            distance to the k-th nearest training example, of Sun et al. 2022 (arXiv:2204.06507); of tasks that ask
            for it, as `ood/blobs?knn=10` does.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = OUTLIERS["confidence"]
    title: ClassVar[str] = "outliers taken for examples (1 - AUROC)"

    score: Score = "confidence"

    @override
    def reads(self) -> tuple[ReadColumn, ...]:
        return OUTLIERS[self.score]

    @override
    def __call__(
        self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]
    ) -> WeightedStatistic:
        del readings
        return detection(child, parent, truth, self.score, _outliers_above)


def _outliers_above(inside: Losses, outside: Losses) -> Losses:
    # the trapezoid's rule under the ROC curve counts ties by half
    area = (np.diff(outside, axis=1) * (inside[:, 1:] + inside[:, :-1]) / 2).sum(axis=1)
    return np.asarray(1.0 - area)
