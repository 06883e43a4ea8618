"""The contract of an operation: how it maps boxes forwards and linear bounds backwards."""

from abc import ABC, abstractmethod

from torch import Tensor

from neuralnets.bounds._lines import Lines
from neuralnets.bounds._region import Region

Regions = tuple[Region, ...]
Lower = tuple[tuple[Lines, ...], Tensor]


class Operation(ABC):
    """A function of one or several tensors with the same first axis, the examples, none of which sees another."""

    @property
    @abstractmethod
    def affine(self) -> bool:
        """Whether it is linear but for a constant, so that `lower` gives away nothing."""

    @abstractmethod
    def image(self, inputs: Regions) -> Region:
        """A region that holds what the operation makes of any inputs from theirs."""

    @abstractmethod
    def lower(self, lines: Lines, inputs: Regions) -> Lower:
        """Linear functions of the inputs that are nowhere, on their regions, above linear functions of the output.

        Args:
            lines: p functions of the output.
            inputs: Regions of the inputs.

        Returns:
            For each input p functions of it, and the constants (p,).
        """
