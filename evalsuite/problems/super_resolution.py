"""Super-resolution."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.problems._base import Guess, Observations, Problem

TOP = 50.0
"""Peak signal-to-noise ratio in dB that counts as no loss; rounding to 8 bits alone leaves about 59 dB."""
_WINDOW, _SIGMA, _K1, _K2 = 11, 1.5, 0.01, 0.03


@final
@dataclass(frozen=True, kw_only=True)
class SuperResolution(Problem):
    """Outputs and right answers are images (n, c, factor h, factor w) in [0, 1].

    The loss of an image is one minus its peak signal-to-noise ratio over 50 dB, cut to [0, 1]: a margin of 0.005 is a
    quarter of a dB. As is the custom, `factor` pixels at each border are not judged; all channels are.

    Attributes:
        factor: How many times as many pixels a side has, at least 2.
    """

    title: ClassVar[str] = "super-resolution"
    version: ClassVar[int] = 2
    measures: ClassVar[tuple[str, ...]] = ("psnr", "ssim", "answer_distance")
    score_title: ClassVar[str] = "PSNR / 50 dB"
    aligned: ClassVar[bool] = True

    factor: int

    @override
    def outputs(self, classes: int, shape: tuple[int, int, int]) -> tuple[int, ...]:
        return (classes, shape[1] * self.factor, shape[2] * self.factor)

    @override
    def guess(self, truths: Tensor, classes: Sequence[str]) -> Guess:
        """Each pixel of the small image repeated."""
        del truths, classes
        return Guess(words="each pixel repeated", answer=nn.Upsample(scale_factor=self.factor, mode="nearest"))

    @override
    def losses(self, outputs: Tensor, truths: Tensor) -> Tensor:
        enlarged, true = (self._judged(images) for images in (outputs.clamp(0, 1), truths))
        return 1 - (_psnr(enlarged, true) / TOP).clamp(0, 1)

    @override
    def observe(self, outputs: Tensor, truths: Tensor) -> Observations:
        """`psnr` (n,), in dB, and `ssim` (n,), in [-1, 1]; no `ssim` where images are smaller than its window.

        Where outputs are not finite both are NaN: infinity would be cut to white.
        """
        numbers = outputs.float()
        images = numbers.where(numbers.isfinite().flatten(1).all(1)[:, None, None, None], torch.nan).clamp(0, 1)
        enlarged, true = self._judged(images), self._judged(truths)
        similar = {"ssim": _ssim(enlarged, true).cpu().numpy()} if min(enlarged.shape[2:]) >= _WINDOW else {}
        return {"psnr": _psnr(enlarged, true).cpu().numpy(), **similar, "values": images.flatten(1).cpu().numpy()}

    def _judged(self, images: Tensor) -> Tensor:
        return images[..., self.factor : -self.factor, self.factor : -self.factor]


def _psnr(enlarged: Tensor, true: Tensor) -> Tensor:
    """10 log10(1 / mean squared error), (n,), at most 100 dB, which stand for equal images."""
    squared = (enlarged.double() - true.double()).square().flatten(1).mean(1)
    return (-10 * squared.clamp(min=1e-10).log10()).float()


def _ssim(enlarged: Tensor, true: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004), (n,): Gaussian window of 11 pixels and sigma 1.5, where it fits."""
    place = torch.arange(_WINDOW, device=enlarged.device, dtype=torch.float64) - _WINDOW // 2
    line = torch.exp(-(place**2) / (2 * _SIGMA**2))
    line = line / line.sum()

    def blurred(images: Tensor) -> Tensor:
        one_channel = images.double().flatten(0, 1)[:, None]
        return F.conv2d(F.conv2d(one_channel, line[None, None, :, None]), line[None, None, None, :])

    mean_enlarged, mean_true = blurred(enlarged), blurred(true)
    var_enlarged = blurred(enlarged.double() ** 2) - mean_enlarged**2
    var_true = blurred(true.double() ** 2) - mean_true**2
    covariance = blurred(enlarged.double() * true.double()) - mean_enlarged * mean_true
    c1, c2 = _K1**2, _K2**2
    top = (2 * mean_enlarged * mean_true + c1) * (2 * covariance + c2)
    bottom = (mean_enlarged**2 + mean_true**2 + c1) * (var_enlarged + var_true + c2)
    return (top / bottom).flatten(1).mean(1).view(len(enlarged), -1).mean(1).float()
