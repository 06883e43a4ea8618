"""The share of examples that a network gets wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from typing_extensions import override

from evalsuite.measures._base import Annotations, Measure, Paired, ReadColumn, Stored
from evalsuite.measures._columns import PREDICTION
from evalsuite.measures._wrong import wrong


@final
@dataclass(frozen=True, kw_only=True)
class Error(Measure):
    """One minus accuracy: the 0-1 loss of Lost in Pruning (Liebenwein et al. 2021), section 3.

    Of a certified task it is one minus the certified accuracy at the asked radius; of an attack, the robust error.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (PREDICTION,)
    title: ClassVar[str] = "error"
    required: ClassVar[bool] = True

    @override
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        return Paired(child=wrong(child, truth.labels, readings), parent=wrong(parent, truth.labels, readings))
