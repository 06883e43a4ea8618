"""How far off numbers are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from typing_extensions import override

from evalsuite.measures._base import Annotations, Losses, Measure, Paired, Stored
from evalsuite.measures._draws import average


@final
@dataclass(frozen=True, kw_only=True)
class ScaledError(Measure):
    """Absolute error in units of the data's scale, cut to 1, averaged over a network's outputs.

    The scale is a fact of the data (`evalsuite.problems.regression`): the range of the training answers, where the data
    do not say otherwise. A margin of 0.005 is half a percent of it.
    """

    needs: ClassVar[tuple[str, ...]] = ("scaled_error",)
    title: ClassVar[str] = "scaled error"
    required: ClassVar[bool] = True

    @override
    def __call__(self, child: Stored, parent: Stored, known: Annotations, readings: Mapping[str, float]) -> Paired:
        del known, readings
        return Paired(child=_losses(child), parent=_losses(parent))


def _losses(stored: Stored) -> Losses:
    return average(stored.own["scaled_error"])
