"""The share of examples on which the network is wrong and sure of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import Annotations, Losses, Measure, Paired, ReadColumn, Stored
from evalsuite.measures._columns import CONFIDENCE, PREDICTION
from evalsuite.measures._draws import average
from evalsuite.measures._wrong import right


@final
@dataclass(frozen=True, kw_only=True)
class ConfidentErrors(Measure):
    """Errors that a threshold on the confidence lets through, as a share of all examples.

    Selective prediction at a fixed threshold (Chow 1970): what is neither right nor handed to somebody else.

    Attributes:
        above: Confidence from which a prediction is acted on, in [0, 1].
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (PREDICTION, CONFIDENCE)
    title: ClassVar[str] = "confident errors"

    above: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.above <= 1:
            raise ValueError(f"expected 0 <= above <= 1, got {self.above}")

    @override
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        return Paired(child=self._losses(child, truth, readings), parent=self._losses(parent, truth, readings))

    def _losses(self, stored: Stored, truth: Annotations, readings: Mapping[str, float]) -> Losses:
        sure = stored.columns["confidence"].astype(np.float64) >= self.above
        return average(sure & ~right(stored, truth.labels, readings))
