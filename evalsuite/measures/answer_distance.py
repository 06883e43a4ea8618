"""Measure: distance of the network's answers from its parent's."""

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
class AnswerDistance(Measure):
    """The share of pixels that are given another class, or the mean absolute difference of numbers or pixel values.

    Numbers are in units of the data's scale, pixel values in [0, 1]. The parent's own loss is 0 by definition.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (uniform("answer_distance", to_parent=True),)
    title: ClassVar[str] = "distance from the parent's answers"

    @override
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        del parent, readings
        return Paired(child=average(child.to_parent["answer_distance"]), parent=np.zeros(len(truth.labels)))
