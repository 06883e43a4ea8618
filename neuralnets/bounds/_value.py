"""Symbolic activations, with which a network is called while its graph is read."""

from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from neuralnets.bounds._operation import Operation
from neuralnets.bounds._region import Region

ACCEPTED: Final = (
    "a ReLU network of linear layers, two-dimensional convolutions padded with zeros, batch norm, ReLU, average and "
    "max pooling, sums, scaling by constants, concatenation, padding, slices, means, flattening, dropout (left out)"
)


class NotUnderstoodError(ValueError):
    """A step for which there are no bounds here; the message names it."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Value:
    """An activation: the place of the step that makes it, and the box in which it lies."""

    place: int
    region: Region

    @property
    def low(self) -> Tensor:
        """(n, *shape); stands for the value where only its shape counts."""
        return self.region.box.low


Operand = Value | Tensor | float
Pair = int | tuple[int, int]
Understood = tuple[Operation, tuple[Value, ...]]
"""An operation, and the values it is applied to."""


def constant(operand: object) -> Tensor:
    """What does not depend on the input, as a tensor.

    Raises:
        NotUnderstoodError: It does.
    """
    if isinstance(operand, Value):
        raise NotUnderstoodError(f"expected {ACCEPTED}, got weights that depend on the input")
    return torch.as_tensor(operand)


def pair(number: Pair) -> tuple[int, int]:
    """For rows and for columns."""
    return (number, number) if isinstance(number, int) else (number[0], number[-1])
