"""Affine operations, which bounds pass without loss: convolutions, linear layers, scaling, averaging, sums."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from neuralnets.bounds._lines import Lines
from neuralnets.bounds._operation import Lower, Operation, Regions
from neuralnets.bounds._region import Ball, Box, Region


class Affine(Operation):
    """A linear function and a constant."""

    @property
    @override
    def affine(self) -> bool:
        return True


class Weighted(Affine):
    """A linear map with weights of both signs, and a bias."""

    weight: Tensor

    @abstractmethod
    def apply(self, x: Tensor, weight: Tensor, *, biased: bool) -> Tensor:
        """The layer with another weight, and with its bias or none."""

    @override
    def image(self, inputs: Regions) -> Box:
        (region,) = inputs
        box = region.box
        around = _around(
            self.apply(box.centre, self.weight, biased=True),
            self.apply(box.radius, self.weight.abs(), biased=False),
        )
        if not isinstance(region, Ball):
            return around
        # the dual norm: the largest (W s) u over |u| <= 1 is the L2 norm of the row, weighted by the spread s
        squares = self.apply(region.spread.square(), self.weight.square(), biased=False)
        # a root of 0, as of a pruned filter, would have no gradient
        reach = squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt()
        ball = _around(self.apply(region.centre, self.weight, biased=True), reach)
        return Box(low=around.low.maximum(ball.low), high=around.high.minimum(ball.high))


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(Weighted):
    """x Wᵀ + b on the last axis; `weight` is (outputs, inputs)."""

    weight: Tensor
    bias: Tensor | None

    @override
    def apply(self, x: Tensor, weight: Tensor, *, biased: bool) -> Tensor:
        return F.linear(x, weight, self.bias if biased else None)

    @override
    def lower(self, lines: Lines, inputs: Regions) -> Lower:
        whole = lines.whole(torch.Size((*inputs[0].box.low.shape[1:-1], len(self.weight))))
        before = replace(whole, coefficients=whole.coefficients @ self.weight)
        return (before,), _constant(whole, self.bias)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Convolution(Weighted):
    """A two-dimensional convolution, padded with zeros; `weight` is (outputs, inputs / groups, height, width)."""

    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @override
    def apply(self, x: Tensor, weight: Tensor, *, biased: bool) -> Tensor:
        bias = self.bias if biased else None
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    @override
    def lower(self, lines: Lines, inputs: Regions) -> Lower:
        shape, size = inputs[0].box.low.shape[1:], lines.coefficients.shape[2:]
        whole = lines.window is None
        # rows and columns of the image at the far side that no window of the convolution reached
        rest = [shape[1 + i] - self._reach(size[i], i) + 2 * self.padding[i] if whole else 0 for i in (0, 1)]
        back = F.conv_transpose2d(
            lines.coefficients,
            self.weight,
            stride=self.stride,
            padding=self.padding if whole else 0,
            output_padding=rest,
            groups=self.groups,
            dilation=self.dilation,
        )
        window = lines.window and lines.window.through(stride=self.stride, padding=self.padding)
        before = replace(lines, coefficients=back, window=window).trimmed(shape)
        bias = None if self.bias is None else self.bias[:, None, None]
        return (before,), _constant(lines, bias)

    def _reach(self, outputs: int, axis: int) -> int:
        """Rows or columns, padding included, that so many outputs look at."""
        return (outputs - 1) * self.stride[axis] + self.dilation[axis] * (self.weight.shape[2 + axis] - 1) + 1


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Scaling(Affine):
    """scale x + shift, entry by entry: batch norm with given statistics, normalisation of images.

    Attributes:
        scale: Of any sign; broadcasts against one example.
        shift: Broadcasts against one example.
        gamma: (c,), the weight of the batch norm that this is, if it is one.
    """

    scale: Tensor
    shift: Tensor
    gamma: Tensor | None = None

    @override
    def image(self, inputs: Regions) -> Region:
        (region,) = inputs
        box = region.box
        around = _around(box.centre * self.scale + self.shift, box.radius * self.scale.abs())
        if isinstance(region, Ball):
            centre, spread = region.centre * self.scale + self.shift, region.spread * self.scale.abs()
            return Ball(centre=centre, spread=spread, around=around)
        return around

    @override
    def lower(self, lines: Lines, inputs: Regions) -> Lower:
        shape = inputs[0].box.low.shape[1:]
        scale, shift = (_over(number, shape) for number in (self.scale, self.shift))
        return (lines.scaled(lines.per_coefficient(scale)),), lines.dot(shift)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Reshape(Affine):
    """The same numbers in another shape.

    Attributes:
        shape: Of one example's output.
    """

    shape: tuple[int, ...]

    @override
    def image(self, inputs: Regions) -> Region:
        (region,) = inputs
        box = Box(low=self._reshaped(region.box.low), high=self._reshaped(region.box.high))
        if isinstance(region, Ball):
            return Ball(centre=self._reshaped(region.centre), spread=self._reshaped(region.spread), around=box)
        return box

    @override
    def lower(self, lines: Lines, inputs: Regions) -> Lower:
        before = inputs[0].box.low.shape[1:]
        whole = lines.whole(torch.Size(self.shape))
        return (replace(whole, coefficients=whole.coefficients.reshape(len(lines), *before)),), _none(lines)

    def _reshaped(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.shape)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Averaging(Affine):
    """Any linear function with weights >= 0, with a constant: averages, cut-outs, padding, concatenation.

    Attributes:
        function: Takes one or several tensors with any number of examples. Growing in all of its inputs, which is why
            it maps the corners of a box to those of the smallest box around the image.
    """

    function: Callable[..., Tensor]

    @override
    def image(self, inputs: Regions) -> Box:
        low = self.function(*(region.box.low for region in inputs))
        return Box(low=low, high=self.function(*(region.box.high for region in inputs)))

    @override
    def lower(self, lines: Lines, inputs: Regions) -> Lower:
        origin = [box.low.new_zeros(()).expand(len(lines), *box.low.shape[1:]) for box in (r.box for r in inputs)]
        pulled = torch.func.vjp(self.function, *origin)
        at_origin, transposed = pulled[0], pulled[1]
        whole = lines.whole(at_origin.shape[1:])
        before: tuple[Tensor, ...] = transposed(whole.coefficients)
        constants = (whole.coefficients * at_origin).flatten(1).sum(1)
        return tuple(replace(whole, coefficients=coefficients) for coefficients in before), constants


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Sum(Affine):
    """left + sign right, for two tensors of the same shape.

    Attributes:
        sign: 1 or -1.
    """

    sign: int

    @override
    def image(self, inputs: Regions) -> Box:
        left, right = (region.box for region in inputs)
        first, second = (right.low, right.high) if self.sign > 0 else (-right.high, -right.low)
        return Box(low=left.low + first, high=left.high + second)

    @override
    def lower(self, lines: Lines, inputs: Regions) -> Lower:
        return (lines, replace(lines, coefficients=self.sign * lines.coefficients)), _none(lines)


def _around(centre: Tensor, radius: Tensor) -> Box:
    return Box(low=centre - radius, high=centre + radius)


def _constant(lines: Lines, offset: Tensor | None) -> Tensor:
    """What an offset, one number or one per channel at the right end, adds to the functions."""
    return _none(lines) if offset is None else (lines.coefficients * offset).flatten(1).sum(1)


def _none(lines: Lines) -> Tensor:
    return lines.coefficients.new_zeros(len(lines))


def _over(number: Tensor, shape: torch.Size) -> Tensor:
    """As (1, *shape), or with 1 in place of height and width where it is the same all over the image."""
    ones = number.view(*(1 for _ in range(1 + len(shape) - number.ndim)), *number.shape)
    flat = len(shape) == 3 and ones.shape[-2:] == (1, 1)
    return ones if flat else ones.expand(1, *shape)
