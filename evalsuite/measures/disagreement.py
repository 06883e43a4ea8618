"""The share of examples on which a network predicts something else than its parent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import Annotations, Measure, Paired, ReadColumn, Stored
from evalsuite.measures._columns import PREDICTION
from evalsuite.measures._draws import average


@final
@dataclass(frozen=True, kw_only=True)
class Disagreement(Measure):
    """One minus the matching predictions of Lost in Pruning (Liebenwein et al. 2021), section 4.

    Which of the two is right does not matter; two abstentions agree. The parent's own loss is 0 by definition.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (PREDICTION,)
    title: ClassVar[str] = "disagreement with the parent"

    @override
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        del readings
        differs = child.columns["prediction"] != parent.columns["prediction"]
        return Paired(child=average(differs), parent=np.zeros(len(truth.labels)))
