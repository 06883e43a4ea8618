"""Adversarial training: the loss at the worst point that projected gradient descent finds near each image."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Generator, Tensor, nn
from typing_extensions import override

from evalsuite.errors import UsageError
from evalsuite.training._pgd_steps import ascend
from evalsuite.training._scheduled import Scheduled
from neuralnets.losses import criterion
from neuralnets.modes import evaluating


@final
@dataclass(frozen=True, kw_only=True)
class Pgd(Scheduled):
    """min E max CE(f(x'), y) over |x' - x| <= eps in every pixel, by steps of the gradient's sign from a random start.

    Madry et al. 2018 (arXiv:1706.06083), equation 2.1; defaults are theirs for CIFAR-10. The attack is on the network
    in evaluation mode, so that it leaves batch-norm statistics alone; the loss is that in training mode. A step of
    training costs `steps` + 1 times that of the standard recipe. The accuracy that is told is that on x'.

    Attributes:
        eps: Radius of the L-infinity ball, in units of the image's range [0, 1], above 0.
        steps: Gradient steps, at least 1.
        step: Length of a step as a share of eps, above 0.
    """

    eps: float = 8 / 255
    steps: int = 7
    step: float = 0.25

    @override
    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if not 0 < self.eps <= 1:
            raise UsageError(f"expected eps to be in (0, 1], since images are in [0, 1], got {self.eps}")
        if self.steps < 1:
            raise UsageError(f"expected steps to be at least 1, got {self.steps}")
        if not self.step > 0:
            raise UsageError(f"expected step to be above 0, got {self.step}")

    @override
    def loss(self, network: nn.Module, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        logits: Tensor = network(self.attacked(network, images, labels, generator))
        return criterion(logits, labels), logits

    def attacked(self, network: nn.Module, images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        """The images (n, c, h, w) that are learnt from; see `loss`."""
        start = images + self.eps * (2 * torch.rand(images.shape, generator=generator) - 1).to(images.device)
        with evaluating(network):
            return ascend(
                lambda moved: criterion(network(moved), labels, reduction="sum"),
                images,
                start,
                eps=self.eps,
                length=self.step * self.eps,
                steps=self.steps,
            )
