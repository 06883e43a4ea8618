"""Contract of measures whose losses are read off one network at a time, whatever the labels and the task."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import final

from typing_extensions import override

from evalsuite.measures._base import Annotations, Losses, Measure, Paired, Stored


class PerNetworkMeasure(Measure, ABC):
    """The network's losses beside its parent's."""

    @override
    @final
    def __call__(self, child: Stored, parent: Stored, truth: Annotations, readings: Mapping[str, float]) -> Paired:
        del truth, readings
        return Paired(child=self.losses(child), parent=self.losses(parent))

    @abstractmethod
    def losses(self, stored: Stored) -> Losses:
        """Of one network, (n,), in [0, 1]."""
