"""The error of the slice of the data that fares worst, of the slices that the user named."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import Annotations, Measure, Paired, ReadColumn, Stored
from evalsuite.measures._columns import PREDICTION
from evalsuite.measures._wrong import wrong


@final
@dataclass(frozen=True, kw_only=True)
class WorstSlice(Measure):
    """The loss of `error`, grouped by every attribute that the user gave.

    The claim is that no value of any attribute (no site, no sex, no camera) loses more than the margin: harm that an
    average hides (Hooker et al. 2020, arXiv:2010.03058). Slices overlap where there are several attributes; examples
    whose value is not known belong to no slice of that attribute. A slice with few examples keeps the verdict
    inconclusive.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (PREDICTION,)
    needs_slices: ClassVar[bool] = True
    title: ClassVar[str] = "worst-slice error"

    @override
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        return Paired(
            child=wrong(child, truth.labels, readings),
            parent=wrong(parent, truth.labels, readings),
            groups=np.stack(list(truth.slices.values()), axis=1),
        )
