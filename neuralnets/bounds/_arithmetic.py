"""Translates arithmetic in a forward pass - sums, differences, scaling - into operations with bounds."""

import torch
from torch import Tensor

from neuralnets.bounds._affine import Scaling, Sum
from neuralnets.bounds._value import ACCEPTED, NotUnderstoodError, Operand, Understood, Value, constant


def add(left: Operand, right: Operand, /, *, alpha: float = 1) -> Understood:
    """The sum of two activations, or of one and a constant."""
    return _sum(left, right, sign=1, alpha=alpha)


def subtract(left: Operand, right: Operand, /, *, alpha: float = 1) -> Understood:
    """The difference of two activations, or of one and a constant."""
    return _sum(left, right, sign=-1, alpha=alpha)


def multiply(left: Operand, right: Operand, /) -> Understood:
    """An activation times a constant."""
    x, factor = (left, right) if isinstance(left, Value) else (right, left)
    assert isinstance(x, Value)  # noqa: S101  (as above)
    if isinstance(factor, Value):
        raise NotUnderstoodError(f"expected {ACCEPTED}, got the product of two activations")
    return _scaling(x, _number(factor, x), 0)


def divide(left: Operand, right: Operand, /) -> Understood:
    """An activation by a constant."""
    if isinstance(right, Value) or not isinstance(left, Value):
        raise NotUnderstoodError(f"expected {ACCEPTED}, got a division by activations")
    return _scaling(left, 1 / _number(right, left), 0)


def negate(x: Value, /) -> Understood:
    """Minus an activation."""
    return _scaling(x, -1, 0)


def _sum(left: Operand, right: Operand, *, sign: int, alpha: float) -> Understood:
    if alpha != 1:
        raise NotUnderstoodError(f"expected sums with alpha = 1, got {alpha}")
    if isinstance(left, Value) and isinstance(right, Value):
        if left.low.shape != right.low.shape:
            shapes = f"{tuple(left.low.shape)} and {tuple(right.low.shape)}"
            raise NotUnderstoodError(f"expected sums of tensors of the same shape, got {shapes}")
        return Sum(sign=sign), (left, right)
    if isinstance(left, Value):
        return _scaling(left, 1, sign * _number(right, left))
    assert isinstance(right, Value)  # noqa: S101  (one of them is: that is why there is a call to translate)
    return _scaling(right, sign, _number(left, right))


def _scaling(x: Value, scale: Tensor | float, shift: Tensor | float) -> Understood:
    factor, offset = (torch.as_tensor(number, dtype=x.low.dtype, device=x.low.device) for number in (scale, shift))
    return Scaling(scale=factor, shift=offset), (x,)


def _number(operand: Operand, x: Value) -> Tensor:
    value = constant(operand) if isinstance(operand, Value | Tensor) else torch.tensor(operand, dtype=torch.float64)
    number = value.to(x.low)
    one = x.low.shape[1:]
    if number.ndim == x.low.ndim and len(number) == 1:
        number = number[0]
    if number.ndim > len(one) or torch.broadcast_shapes(number.shape, one) != one:
        raise NotUnderstoodError(f"expected a constant that fits {tuple(one)}, got one of {tuple(number.shape)}")
    return number
