"""Measure: how little of the pixels that the parent decides by the network decides by too."""

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
class SaliencyDisagreement(Measure):
    """1 - the share of the parent's most salient pixels that are the network's too.

    The top-k intersection of Ghorbani et al. 2019 (arXiv:1710.10547), as a loss. The parent's own loss is 0
    by definition; two unrelated maps come to 1 - k / pixels.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (uniform("salient_overlap", to_parent=True),)
    title: ClassVar[str] = "salient pixels not shared with the parent"

    @override
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        del parent, readings
        overlap = child.to_parent["salient_overlap"].astype(np.float64)
        return Paired(child=average(1 - overlap), parent=np.zeros(len(truth.labels)))
