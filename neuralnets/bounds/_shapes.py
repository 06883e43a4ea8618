"""Translates reshaping, slicing, padding and concatenation into operations with bounds."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from neuralnets.bounds._affine import Averaging, Reshape
from neuralnets.bounds._value import NotUnderstoodError, Operand, Understood, Value


def flatten(x: Value, /, start_dim: int = 0, end_dim: int = -1) -> Understood:
    """Axes put together."""
    return _reshaped(x, torch.flatten(x.low, start_dim, end_dim).shape)


def reshape(x: Value, /, *shape: int | tuple[int, ...]) -> Understood:
    """Another shape; the method takes its sizes one by one or as one tuple."""
    sizes = [size for part in shape for size in (part if isinstance(part, tuple | list) else (part,))]
    return _reshaped(x, x.low.reshape(sizes).shape)


def unflatten(x: Value, /, dim: int, sizes: tuple[int, ...]) -> Understood:
    """One axis taken apart."""
    return _reshaped(x, x.low.unflatten(dim, sizes).shape)


def squeeze(x: Value, /, dim: int | tuple[int, ...]) -> Understood:
    """Axes of length one dropped."""
    return _reshaped(x, x.low.squeeze(dim).shape)


def unsqueeze(x: Value, /, dim: int) -> Understood:
    """An axis of length one put in."""
    return _reshaped(x, x.low.unsqueeze(dim).shape)


def same(x: Value, /) -> Understood:
    """What changes no number."""
    return _reshaped(x, x.low.shape)


def cut(x: Value, index: object, /) -> Understood:
    """Rows, columns or channels cut out."""
    places = index if isinstance(index, tuple) else (index,)
    every = places[0] == slice(None) or (places[0] is Ellipsis and len(places) <= x.low.ndim)
    if not every or any(isinstance(place, Value | Tensor | list) for place in places):
        raise NotUnderstoodError(f"expected slices within examples, got [{index}]")
    return Averaging(function=lambda y: y[places]), (x,)


def pad(x: Value, /, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Understood:
    """A border of zeros, of another number or of what is inside."""
    if len(pad) >= 2 * x.low.ndim:
        raise NotUnderstoodError("expected padding within examples, got padding of the batch")
    return Averaging(function=lambda y: F.pad(y, list(pad), mode, value)), (x,)


def cat(tensors: Sequence[Operand], /, dim: int = 0) -> Understood:
    """Activations joined along an axis."""
    values = tuple(tensor for tensor in tensors if isinstance(tensor, Value))
    if len(values) < len(tensors) or dim % values[0].low.ndim == 0:
        raise NotUnderstoodError("expected activations joined within examples, got constants among them or dim=0")
    return Averaging(function=lambda *parts: torch.cat(parts, dim)), values


def _reshaped(x: Value, shape: torch.Size) -> Understood:
    if not shape or shape[0] != len(x.low):
        raise NotUnderstoodError(f"expected shapes that keep {len(x.low)} examples apart, got {tuple(shape)}")
    return Reshape(shape=tuple(shape[1:])), (x,)


def dropout(
    x: Value,
    /,
    p: float = 0.5,
    training: bool = True,  # noqa: FBT001, FBT002  (so it is called)
    inplace: bool = False,  # noqa: FBT001, FBT002
) -> Understood:
    """Nothing: bounds are those of the network in evaluation mode."""
    del p, training, inplace
    return same(x)
