"""Measure: half the Brier score, the distance of the network's class probabilities from the truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import Annotations, Losses, Measure, Paired, ReadColumn, Stored
from evalsuite.measures._columns import SQUARES, TRUTH
from evalsuite.measures._draws import average


@final
@dataclass(frozen=True, kw_only=True)
class Brier(Measure):
    """||p - onehot(y)||² / 2: the score of Brier 1950 over all classes, halved so that the worst loss is 1.

    A proper score: it is smallest in the mean where probabilities are those of the classes, and rises with errors,
    with too much and with too little confidence. It is (sum p² - 2 p_y + 1) / 2.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (TRUTH, SQUARES)
    title: ClassVar[str] = "Brier score, halved"

    @override
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        del truth, readings
        return Paired(child=_scores(child), parent=_scores(parent))


def _scores(stored: Stored) -> Losses:
    truth, squares = (stored.columns[column].astype(np.float64) for column in ("truth", "squares"))
    # sums of probabilities in 32 bits leave the unit interval by a rounding error
    return average(np.clip((squares - 2 * truth + 1) / 2, 0.0, 1.0))
