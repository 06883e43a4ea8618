"""The share of examples that are neither certified nor broken: what bounds and attack leave open."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import Annotations, Losses, Measure, Paired, ReadColumn, Stored
from evalsuite.measures._columns import PREDICTION
from evalsuite.measures._draws import average
from evalsuite.measures._wrong import right


@final
@dataclass(frozen=True, kw_only=True)
class CertifiedGap(Measure):
    """Robust accuracy lies between the certified accuracy and that under attack; this is the width of what is truth.

    A certified accuracy that rises with pruning may tell of the verifier alone: small weights loosen no bounds. Then
    this gap falls as much, while the error under attack stays.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (
        PREDICTION,
        ReadColumn(name="survives", example=lambda answers: answers.draw.random(answers.shape) < 0.5),
    )
    title: ClassVar[str] = "neither certified nor broken"

    @override
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        return Paired(child=_open(child, truth, readings), parent=_open(parent, truth, readings))


def _open(stored: Stored, truth: Annotations, readings: Mapping[str, float]) -> Losses:
    survives = np.asarray(stored.columns["survives"], dtype=np.bool_)
    return average(survives & ~right(stored, truth.labels, readings))
