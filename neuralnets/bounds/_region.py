"""Regions in which an input or an activation lies: boxes and balls, batched."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from neuralnets.bounds._lines import Lines


class Region(ABC):
    """A set of tensors per example."""

    @property
    @abstractmethod
    def box(self) -> "Box":
        """The smallest known box around the set."""

    @abstractmethod
    def lowest(self, lines: Lines) -> Tensor:
        """(p,): the smallest value of p linear functions on the set, or something below it."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Box(Region):
    """All x with low <= x <= high.

    Attributes:
        low: (n, *shape).
        high: (n, *shape), nowhere below `low`.
    """

    low: Tensor
    high: Tensor

    @property
    @override
    def box(self) -> "Box":
        return self

    @property
    def centre(self) -> Tensor:
        """(n, *shape)."""
        return (self.high + self.low) / 2

    @property
    def radius(self) -> Tensor:
        """(n, *shape), half the width."""
        return (self.high - self.low) / 2

    @override
    def lowest(self, lines: Lines) -> Tensor:
        size = replace(lines, coefficients=lines.coefficients.abs())
        return lines.dot(self.centre) - size.dot(self.radius)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Ball(Region):
    """All centre + spread u with L2 norm |u| <= 1 that also lie in `around`: a ball, or scaled along its axes.

    Attributes:
        centre: (n, *shape).
        spread: (n, *shape), at least 0.
        around: A box that is known to hold as well, such as the range of pixels.
    """

    centre: Tensor
    spread: Tensor
    around: Box

    @property
    @override
    def box(self) -> Box:
        return self.around

    @override
    def lowest(self, lines: Lines) -> Tensor:
        # Cauchy-Schwarz; both sets hold, so the better of the two does
        weighted = lines.scaled(lines.per_coefficient(self.spread)).coefficients
        reach: Tensor = torch.linalg.vector_norm(weighted.flatten(1), dim=1)
        return (lines.dot(self.centre) - reach).maximum(self.around.lowest(lines))


def linf_ball(images: Tensor, radius: float) -> Box:
    """All images within `radius` of `images` (n, c, h, w) in every pixel, pixels in [0, 1]."""
    _check(radius)
    return Box(low=(images - radius).clamp(0, 1), high=(images + radius).clamp(0, 1))


def l2_ball(images: Tensor, radius: float) -> Ball:
    """All images within `radius` of `images` (n, c, h, w) in L2 norm, pixels in [0, 1]."""
    _check(radius)
    return Ball(centre=images, spread=images.new_full(images.shape, radius), around=linf_ball(images, radius))


def _check(radius: float) -> None:
    if not radius >= 0:
        raise ValueError(f"expected radius >= 0, got {radius}")
