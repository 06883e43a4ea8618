"""Translates two-dimensional pooling and means into operations with bounds."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from neuralnets.bounds._affine import Averaging
from neuralnets.bounds._max_pool import MaxPool
from neuralnets.bounds._value import NotUnderstoodError, Pair, Understood, Value, pair


def avg_pool2d(
    x: Value,
    /,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,  # noqa: FBT001, FBT002  (so it is called)
    count_include_pad: bool = True,  # noqa: FBT001, FBT002
    divisor_override: int | None = None,
) -> Understood:
    """Averages of windows."""
    if divisor_override is not None and divisor_override <= 0:
        raise NotUnderstoodError(f"expected divisor_override > 0, got {divisor_override}")

    def average(y: Tensor) -> Tensor:
        return F.avg_pool2d(y, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)

    return Averaging(function=average), (x,)


def adaptive_avg_pool2d(x: Value, /, output_size: int | tuple[int | None, int | None]) -> Understood:
    return Averaging(function=lambda y: F.adaptive_avg_pool2d(y, output_size)), (x,)


def mean(x: Value, /, dim: int | Sequence[int], keepdim: bool = False) -> Understood:  # noqa: FBT001, FBT002
    axes = [dim] if isinstance(dim, int) else list(dim)
    if not axes or any(axis % x.low.ndim == 0 for axis in axes):
        raise NotUnderstoodError(f"expected means within examples, got one over the axes {axes}")
    return Averaging(function=lambda y: y.mean(axes, keepdim)), (x,)


def max_pool2d(
    x: Value,
    /,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,  # noqa: FBT001, FBT002
    return_indices: Literal[False] = False,  # noqa: FBT002
) -> Understood:
    """The largest of every window."""
    del return_indices  # with indices it is another function
    pool = MaxPool(
        kernel=pair(kernel_size),
        stride=pair(stride or kernel_size),
        padding=pair(padding),
        dilation=pair(dilation),
        ceil=ceil_mode,
    )
    return pool, (x,)


def adaptive_max_pool2d(
    x: Value,
    /,
    output_size: int | tuple[int | None, int | None],
    return_indices: Literal[False] = False,  # noqa: FBT002
) -> Understood:
    """The largest of as many windows as asked for, where they are of one size."""
    wanted = output_size if isinstance(output_size, tuple) else (output_size, output_size)
    height, width = x.low.shape[2:]
    rows, columns = wanted[0] or height, wanted[1] or width
    if height % rows or width % columns:
        windows = f"{rows} x {columns} of {height} x {width}"
        raise NotUnderstoodError(f"expected adaptive max pooling into windows of equal size, got {windows}")
    return max_pool2d(x, (height // rows, width // columns), return_indices=return_indices)
