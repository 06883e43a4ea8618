"""Gaussian noise on every image: the training of networks that will be smoothed."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Generator, Tensor, nn
from typing_extensions import override

from evalsuite.errors import UsageError
from evalsuite.training._scheduled import Scheduled
from neuralnets.losses import criterion


@final
@dataclass(frozen=True, kw_only=True)
class Gaussian(Scheduled):
    """Cross-entropy at x + N(0, sigma²), one draw per image and step; noisy images may leave [0, 1].

    Cohen, Rosenfeld and Kolter 2019 (arXiv:1902.02918): train with the sigma at which the network will be
    smoothed.

    Attributes:
        sigma: Standard deviation in units of the image's range [0, 1], at least 0; the paper takes 0.12 to 1.
    """

    sigma: float = 0.25

    @override
    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if not 0 <= self.sigma <= 1:
            raise UsageError(f"expected sigma to be in [0, 1], since images are, got {self.sigma}")

    @override
    def loss(self, network: nn.Module, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        noise = torch.randn(images.shape, generator=generator).to(images.device)
        logits: Tensor = network(images + self.sigma * noise)
        return criterion(logits, labels), logits
