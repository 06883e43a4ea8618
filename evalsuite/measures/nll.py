"""The negative log-likelihood of the true class."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import (
    Annotations,
    Losses,
    ReadColumn,
    Statistic,
    Stored,
    Unit,
    WeightedStatistic,
    Weights,
)
from evalsuite.measures._columns import TRUTH
from evalsuite.measures._draws import average

_TINY = float(np.finfo(np.float32).tiny)


@final
@dataclass(frozen=True, kw_only=True)
class Nll(Statistic):
    """The mean of -log p_y in nats: the log score (Good 1952), the cross-entropy that networks are trained with.

    It has no upper end: one example that is wrong beyond doubt can outweigh all others. Probabilities below the least
    normal 32-bit number count as that number, so that an example costs 87.3 nats at most.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (TRUTH,)
    title: ClassVar[str] = "negative log-likelihood"
    unit: ClassVar[Unit] = "nats"

    @override
    def __call__(
        self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]
    ) -> WeightedStatistic:
        del readings
        return WeightedStatistic(n=len(truth.labels), child=_figure(child), parent=_figure(parent))


def _figure(stored: Stored) -> Callable[[Weights], Losses]:
    losses = average(-np.log(np.maximum(stored.columns["truth"].astype(np.float64), _TINY)))

    def figure(weights: Weights) -> Losses:
        return np.asarray(weights @ losses / weights.sum(axis=1))

    return figure
