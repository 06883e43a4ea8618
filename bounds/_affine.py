"""Steps that bounds pass without loss: convolutions, linear layers, scaling, averaging, sums."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from bounds._operation import Operation, Regions
from bounds._region import Ball, Box, Region


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
    def lower(self, lines: Tensor, rows: Tensor, inputs: Regions) -> tuple[tuple[Tensor, ...], Tensor]:
        return (lines @ self.weight,), _constant(lines, self.bias)


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
    def lower(self, lines: Tensor, rows: Tensor, inputs: Regions) -> tuple[tuple[Tensor, ...], Tensor]:
        size, seen = inputs[0].box.low.shape[2:], lines.shape[2:]
        # rows and columns at the far side that no window reached
        rest = [
            size[i]
            - ((seen[i] - 1) * self.stride[i] - 2 * self.padding[i] + self.dilation[i] * (self.weight.shape[2 + i] - 1))
            - 1
            for i in (0, 1)
        ]
        back = F.conv_transpose2d(lines, self.weight, None, self.stride, self.padding, rest, self.groups, self.dilation)
        bias = None if self.bias is None else self.bias[:, None, None]
        return (back,), _constant(lines, bias)


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
    def lower(self, lines: Tensor, rows: Tensor, inputs: Regions) -> tuple[tuple[Tensor, ...], Tensor]:
        return (lines * self.scale,), _constant(lines, self.shift)


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
    def lower(self, lines: Tensor, rows: Tensor, inputs: Regions) -> tuple[tuple[Tensor, ...], Tensor]:
        before = inputs[0].box.low.shape[1:]
        return (lines.reshape(len(lines), *before),), lines.new_zeros(len(lines))

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
    def lower(self, lines: Tensor, rows: Tensor, inputs: Regions) -> tuple[tuple[Tensor, ...], Tensor]:
        origin = [lines.new_zeros(()).expand(len(lines), *region.box.low.shape[1:]) for region in inputs]
        pulled = torch.func.vjp(self.function, *origin)
        at_origin, transposed = pulled[0], pulled[1]
        before: tuple[Tensor, ...] = transposed(lines)
        return before, _constant(lines, at_origin)


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
    def lower(self, lines: Tensor, rows: Tensor, inputs: Regions) -> tuple[tuple[Tensor, ...], Tensor]:
        return (lines, self.sign * lines), lines.new_zeros(len(lines))


def _around(centre: Tensor, radius: Tensor) -> Box:
    return Box(low=centre - radius, high=centre + radius)


def _constant(lines: Tensor, offset: Tensor | None) -> Tensor:
    return lines.new_zeros(len(lines)) if offset is None else (lines * offset).flatten(1).sum(1)
