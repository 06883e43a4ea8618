"""Intersection over union of all pixels of the data set: the figure of the segmentation literature."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from evalsuite.measures._base import (
    Annotations,
    Answers,
    Column,
    Losses,
    ReadColumn,
    Statistic,
    Stored,
    WeightedStatistic,
    Weights,
)


def _pixels(name: str, low: int, high: int) -> ReadColumn:
    """Counts of pixels for each class, by example from `low` to `high` - 1."""

    def example(answers: Answers) -> Column:
        return answers.draw.integers(low, high, answers.probabilities.shape).astype(np.int32)

    return ReadColumn(name=name, example=example)


@final
@dataclass(frozen=True, kw_only=True)
class MeanIou(Statistic):
    """One minus mIoU: pixels of all images are counted together, class by class, then classes are averaged.

    Everingham et al. 2010 (IJCV 88), section 4.3; classes that stand in no image and in no answer are left out.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (_pixels("intersections", 0, 20), _pixels("unions", 20, 40))
    title: ClassVar[str] = "1 - mean IoU"

    @override
    def __call__(
        self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]
    ) -> WeightedStatistic:
        del readings
        return WeightedStatistic(n=len(truth.labels), child=_figure(child), parent=_figure(parent))


def _figure(stored: Stored) -> Callable[[Weights], Losses]:
    both, either = (_per_example(stored.columns[column]) for column in ("intersections", "unions"))

    def figure(weights: Weights) -> Losses:
        unions = weights @ either
        there = unions > 0
        ratios = np.divide(weights @ both, unions, out=np.zeros_like(unions), where=there)
        return np.asarray(1.0 - ratios.sum(axis=1) / np.maximum(there.sum(axis=1), 1))

    return figure


def _per_example(pixels: Column) -> npt.NDArray[np.float64]:
    """(n, classes), of pixels (n, classes) or (n, draws, classes): all draws count."""
    counts = pixels.astype(np.float64).reshape(len(pixels), -1, pixels.shape[-1])
    return np.asarray(counts.sum(axis=1))
