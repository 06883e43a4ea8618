"""Measure: how little of the parent's informative pixels the network recognises."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from typing_extensions import override

from evalsuite.measures._base import Annotations, Column, Losses, Measure, Paired, ReadColumn, Stored
from evalsuite.measures._columns import uniform
from evalsuite.measures._draws import average


@final
@dataclass(frozen=True, kw_only=True)
class FeatureConfidence(Measure):
    """1 - p of the true class, given only the pixels by which the parent decides.

    A row of the matrix of Lost in Pruning (Liebenwein et al. 2021), section 4: a network that decides like its parent
    is as sure on the parent's pixels as the parent itself, whose loss is the same figure.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (uniform("own_confidence"), uniform("lent_confidence", to_parent=True))
    title: ClassVar[str] = "lost confidence on the parent's pixels"

    @override
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        del truth, readings
        return Paired(child=_lost(child.to_parent["lent_confidence"]), parent=_lost(parent.columns["own_confidence"]))


def _lost(confidence: Column) -> Losses:
    # softmax in 32 bits can come out a rounding error above 1
    return average(np.clip(1 - confidence.astype(np.float64), 0.0, 1.0))
