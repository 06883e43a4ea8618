"""Statistic: the adaptive expected calibration error, the gap between the network's confidence and its accuracy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from typing_extensions import override

from evalsuite.measures._base import Annotations, ReadColumn, Statistic, Stored, WeightedStatistic
from evalsuite.measures._calibration_gaps import CalibrationGaps
from evalsuite.measures._columns import CONFIDENCE, PREDICTION


@final
@dataclass(frozen=True, kw_only=True)
class Calibration(Statistic):
    """The mean gap between confidence and accuracy over bins of equal mass, sum |acc_b - conf_b| / bins.

    Expected calibration error (Guo et al. 2017, arXiv:1706.04599, equation 3) of the predicted class, with the adaptive
    bins of Nixon et al. 2019 (arXiv:1904.01685, section 3.3), so that no bin is nearly empty. An example on the edge of
    two bins counts in both, in shares; examples of equal confidence are shared out alike, whichever comes first.
    Of a finite sample the figure is too high, most of all that of a network without gaps (Roelofs et al. 2022,
    arXiv:2012.08668). Parent and network may differ in that: the bounds allow for it.

    Attributes:
        bins: Number of bins, >= 1.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (PREDICTION, CONFIDENCE)
    title: ClassVar[str] = "calibration error"

    bins: int = 15

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise ValueError(f"expected bins >= 1, got {self.bins}")

    @override
    def __call__(
        self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]
    ) -> WeightedStatistic:
        gaps, parent_gaps = (
            CalibrationGaps(child, truth, readings, self.bins),
            CalibrationGaps(parent, truth, readings, self.bins),
        )
        return WeightedStatistic(
            n=len(truth.labels),
            child=gaps.figure,
            parent=parent_gaps.figure,
            child_excess=gaps.excess(),
            parent_excess=parent_gaps.excess(),
        )
