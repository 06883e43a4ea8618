"""The share of examples that the parent gets right and the network gets wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import Annotations, Measure, Paired, ReadColumn, Stored
from evalsuite.measures._columns import PREDICTION
from evalsuite.measures._draws import average
from evalsuite.measures._wrong import right


@final
@dataclass(frozen=True, kw_only=True)
class NegativeFlips(Measure):
    """The negative flip rate of Yan et al. 2021 (arXiv:2011.09161), equation 1: what an update breaks.

    Two networks of equal error can flip many examples, each of which worked before. The parent's own loss is 0 by
    definition. Of several random draws, each is compared with the same draw of the parent.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (PREDICTION,)
    title: ClassVar[str] = "negative flips"

    @override
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        broken = right(parent, truth.labels, readings) & ~right(child, truth.labels, readings)
        return Paired(child=average(broken), parent=np.zeros(len(truth.labels)))
