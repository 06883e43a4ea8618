"""The error of the class that fares worst: harm that an average over classes hides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from typing_extensions import override

from evalsuite.measures._base import Annotations, Measure, Paired, ReadColumn, Stored
from evalsuite.measures._columns import PREDICTION
from evalsuite.measures._wrong import wrong


@final
@dataclass(frozen=True, kw_only=True)
class WorstClass(Measure):
    """The loss of `error`, grouped by true class: the claim is that no class loses more than the margin.

    Pruning is known to harm few classes much (Hooker et al. 2019, arXiv:1911.05248). Classes that do not occur are
    left out; a class with few examples keeps the verdict inconclusive.
    """

    needs: ClassVar[tuple[ReadColumn, ...]] = (PREDICTION,)
    title: ClassVar[str] = "worst-class error"

    @override
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        return Paired(
            child=wrong(child, truth.labels, readings),
            parent=wrong(parent, truth.labels, readings),
            groups=truth.labels.copy(),
        )
