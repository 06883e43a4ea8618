"""Linear functions of one tensor, many at a time, each about one example; whole, or only where they are not 0."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """Where in an image (c, h, w) coefficients stand: from row and column `start` * stride + offset on.

    Attributes:
        start: (p, 2), int64.
        stride: For rows and for columns; numbers, so that windows can be compared without a look at tensors.
        offset: Likewise; a window may stand out over the image.
    """

    start: Tensor
    stride: tuple[int, int]
    offset: tuple[int, int]

    def places(self, axis: int, count: int) -> Tensor:
        """(p, count): the rows (axis 0) or columns (axis 1) of the image that `count` of the window's stand at."""
        steps = torch.arange(count, device=self.start.device)
        return self.start[:, axis, None] * self.stride[axis] + self.offset[axis] + steps

    def through(self, *, stride: tuple[int, int], padding: tuple[int, int]) -> "Window":
        """Where the inputs stand of a convolution whose outputs stand here."""
        scaled = [(self.stride[i] * stride[i], self.offset[i] * stride[i] - padding[i]) for i in (0, 1)]
        return replace(self, stride=(scaled[0][0], scaled[1][0]), offset=(scaled[0][1], scaled[1][1]))


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Lines:
    """The coefficients of p linear functions.

    Attributes:
        coefficients: (p, *shape); with a window (p, c, height, width of the window), 0 outside the image.
        rows: (p,), int64, the example that each function is about.
        window: Where they stand, if they are not whole.
    """

    coefficients: Tensor
    rows: Tensor
    window: Window | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def scaled(self, factors: Tensor) -> "Lines":
        """Coefficient by coefficient; `factors` as `per_coefficient` gives them."""
        return replace(self, coefficients=self.coefficients * factors)

    def per_coefficient(self, values: Tensor) -> Tensor:
        """The value of the entry that each coefficient multiplies, in a shape that broadcasts against the coefficients.

        Args:
            values: (n, *shape), one for each example, or (1, *shape) for all.
        """
        everywhere = self.window is None or values.shape[-2:] == (1, 1)
        if self.window is None or everywhere:
            return values if len(values) == 1 else values[self.rows]
        height, width = values.shape[2:]
        down = self.window.places(0, self.coefficients.shape[2]).clamp(0, height - 1)
        right = self.window.places(1, self.coefficients.shape[3]).clamp(0, width - 1)
        rows = self.rows if len(values) > 1 else torch.zeros_like(self.rows)
        return values[rows[:, None, None], :, down[:, :, None], right[:, None, :]].permute(0, 3, 1, 2)

    def dot(self, values: Tensor) -> Tensor:
        """(p,): the functions at `values` (n, *shape) or (1, *shape)."""
        return (self.coefficients * self.per_coefficient(values)).flatten(1).sum(1)

    def whole(self, shape: torch.Size) -> "Lines":
        """The same functions without a window; `shape` is that of one example."""
        if self.window is None:
            return self
        height, width = shape[1:]
        down = self.window.places(0, self.coefficients.shape[2]).clamp(0, height - 1)
        right = self.window.places(1, self.coefficients.shape[3]).clamp(0, width - 1)
        # what stands outside is 0 and may be added anywhere
        places = (down[:, :, None] * width + right[:, None, :]).view(len(self), 1, -1)
        flat = self.coefficients.new_zeros(len(self), shape[0], height * width)
        flat = flat.scatter_add(2, places.expand(-1, shape[0], -1), self.coefficients.flatten(2))
        return Lines(coefficients=flat.view(len(self), *shape), rows=self.rows)

    def trimmed(self, shape: torch.Size) -> "Lines":
        """Coefficients outside the image dropped; whole, if the window is no smaller than the image."""
        if self.window is None:
            return self
        height, width = self.coefficients.shape[2:]
        down, right = self.window.places(0, height), self.window.places(1, width)
        rows, columns = (down >= 0) & (down < shape[1]), (right >= 0) & (right < shape[2])
        inside = (rows[:, None, :, None] & columns[:, None, None, :]).to(self.coefficients)
        kept = self.scaled(inside)
        return kept.whole(shape) if height * width >= shape[1] * shape[2] else kept

    def plus(self, other: "Lines", shape: torch.Size) -> "Lines":
        """The sums of two sets of functions about the same examples; windows grow to hold both."""
        mine, its = self.window, other.window
        if mine is None or its is None or mine.stride != its.stride:
            both = self.whole(shape).coefficients + other.whole(shape).coefficients
            return Lines(coefficients=both, rows=self.rows)
        near = [min(mine.offset[i], its.offset[i]) for i in (0, 1)]
        far = [max(end(self, i), end(other, i)) for i in (0, 1)]
        grown = [
            F.pad(lines.coefficients, [side for i in (1, 0) for side in (start[i] - near[i], far[i] - end(lines, i))])
            for lines, start in ((self, mine.offset), (other, its.offset))
        ]
        window = replace(mine, offset=(near[0], near[1]))
        return replace(self, coefficients=grown[0] + grown[1], window=window)


def end(lines: Lines, axis: int) -> int:
    """The first row or column behind a window that stands at 0."""
    offset = 0 if lines.window is None else lines.window.offset[axis]
    return offset + lines.coefficients.shape[2 + axis]


def entries(values: Tensor, rows: Tensor, flat: Tensor) -> Lines:
    """The functions that give single entries, as small as they can be.

    Args:
        values: (n, *shape); only shape, type and device count.
        rows: (p,), the examples.
        flat: (p,), which entry, in order.
    """
    shape = values.shape[1:]
    if len(shape) != 3:
        coefficients = F.one_hot(flat, shape.numel()).to(values).view(-1, *shape)
        return Lines(coefficients=coefficients, rows=rows)
    area = shape[1] * shape[2]
    coefficients = F.one_hot(flat // area, shape[0]).to(values)[:, :, None, None]
    start = torch.stack((flat % area // shape[2], flat % shape[2]), 1)
    return Lines(coefficients=coefficients, rows=rows, window=Window(start=start, stride=(1, 1), offset=(0, 0)))
