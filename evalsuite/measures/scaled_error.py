"""Measure: absolute errors of numbers, on a scale of their spread."""

from dataclasses import dataclass
from typing import ClassVar, final

from typing_extensions import override

from evalsuite.measures._base import Losses, ReadColumn, Stored
from evalsuite.measures._columns import uniform
from evalsuite.measures._draws import average
from evalsuite.measures._per_network import PerNetworkMeasure


@final
@dataclass(frozen=True, kw_only=True)
class ScaledError(PerNetworkMeasure):
    """Absolute error in units of the data's scale, cut to 1, averaged over a network's outputs.

    The scale is a fact of the data (`evalsuite.problems.regression`): the range of the training answers, where the data
    do not say otherwise. A margin of 0.005 is half a percent of it.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (uniform("scaled_error"),)
    title: ClassVar[str] = "scaled error"
    required: ClassVar[bool] = True

    @override
    def losses(self, stored: Stored) -> Losses:
        return average(stored.columns["scaled_error"])
