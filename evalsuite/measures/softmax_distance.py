"""Measure: distance of the network's class probabilities from its parent's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import Annotations, Measure, Paired, ReadColumn, Stored
from evalsuite.measures._columns import uniform
from evalsuite.measures._draws import average


@final
@dataclass(frozen=True, kw_only=True)
class SoftmaxDistance(Measure):
    """||p - p_parent||_2 / sqrt 2: the softmax difference of Lost in Pruning (2021), section 4, mapped onto [0, 1].

    The parent's own loss is 0 by definition.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (uniform("softmax_distance", high=2**0.5, to_parent=True),)
    title: ClassVar[str] = "softmax distance to the parent"

    @override
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        del parent, readings
        distance = child.to_parent["softmax_distance"].astype(np.float64) / np.sqrt(2)
        # the largest distance, stored in 32 bits, can come out a rounding error above 1
        return Paired(child=average(np.minimum(distance, 1.0)), parent=np.zeros(len(truth.labels)))
