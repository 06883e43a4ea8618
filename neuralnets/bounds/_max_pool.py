"""Max pooling between an entry and a constant (Singh et al. 2019, doi:10.1145/3290354, section 4.4)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from neuralnets.bounds._lines import Lines
from neuralnets.bounds._operation import Lower, Operation, Regions
from neuralnets.bounds._region import Box

_NEVER = float("-inf")


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Operation):
    """The maximum over each window, in two dimensions.

    Below lies the entry with the highest lower bound. It is the output itself where no other entry of the window can
    exceed it; elsewhere the highest upper bound lies above.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    ceil: bool

    @property
    @override
    def affine(self) -> bool:
        return False

    @override
    def image(self, inputs: Regions) -> Box:
        box = inputs[0].box
        return Box(low=self._pooled(box.low)[0], high=self._pooled(box.high)[0])

    @override
    def lower(self, lines: Lines, inputs: Regions) -> Lower:
        box = inputs[0].box
        low, chosen = self._pooled(box.low)
        ceiling, _ = self._pooled(box.high)
        whole = lines.whole(low.shape[1:])
        coefficients, rows = whole.coefficients, whole.rows
        followed = (coefficients >= 0) | (low >= self._rivals(box.high, chosen))[rows]
        constants = torch.where(followed, 0, coefficients * ceiling[rows]).flatten(1).sum(1)
        back = coefficients.new_zeros(len(lines), low.shape[1], box.low.shape[2] * box.low.shape[3])
        back = back.scatter_add(2, chosen.flatten(2)[rows], torch.where(followed, coefficients, 0).flatten(2))
        return (Lines(coefficients=back.view(len(lines), *box.low.shape[1:]), rows=rows),), constants

    def _pooled(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled, places = F.max_pool2d_with_indices(x, self.kernel, self.stride, self.padding, self.dilation, self.ceil)
        return pooled, places

    def _rivals(self, high: Tensor, chosen: Tensor) -> Tensor:
        """Per window the highest upper bound among entries other than the one `chosen`."""
        n, channels, height, width = high.shape
        places = torch.arange(height * width, device=high.device).view(1, 1, height, width)
        # a window's places as numbers: exact in float64 for any image
        there = self._windows(places.double(), chosen, -1.0)
        flat = self._windows(high.reshape(n * channels, 1, height, width), chosen, _NEVER)
        values = flat.reshape(n, channels, *flat.shape[1:])
        others = values.masked_fill(there == chosen.flatten(2).unsqueeze(2), _NEVER)
        return others.amax(2).view(chosen.shape)

    def _windows(self, x: Tensor, chosen: Tensor, outside: float) -> Tensor:
        """(n, entries of a window, windows) of x (n, 1, h, w); a last window may stand out over the far side."""
        border: list[int] = []
        for i in (1, 0):
            reach = (chosen.shape[2 + i] - 1) * self.stride[i] + self.dilation[i] * (self.kernel[i] - 1) + 1
            border += [self.padding[i], max(reach - x.shape[2 + i] - self.padding[i], 0)]
        padded = F.pad(x, border, value=outside)
        windows = padded.unfold(2, self.dilation[0] * (self.kernel[0] - 1) + 1, self.stride[0])
        windows = windows.unfold(3, self.dilation[1] * (self.kernel[1] - 1) + 1, self.stride[1])
        windows = windows[:, 0, : chosen.shape[2], : chosen.shape[3], :: self.dilation[0], :: self.dilation[1]]
        entries: Tensor = windows.flatten(3).flatten(1, 2).transpose(1, 2)
        return entries
