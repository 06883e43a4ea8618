"""NRSLoss: ReLUs become stable, on the scale of the normalisation before them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.bounds import Preactivation, linf_ball, preactivations, trace
from pruners._checks import check_at_least
from pruners.regularisers._base import Regulariser

_LEAST = 1e-20


@final
@dataclass(frozen=True, kw_only=True)
class Nrs(Regulariser):
    """weight * mean over all neurons of -tanh(1 + l u / gamma^2), with [l, u] what may go into the neuron's ReLU.

    Li et al. 2022 (arXiv:2206.07311), normalised ReLU stability: without gamma it is the RS loss of Xiao et al. 2019
    (arXiv:1809.03008). A ReLU is unstable where l < 0 < u; the loss is small where l u is large. Of gamma, the weight
    of the batch normalisation directly before the ReLU, no gradient is taken where it divides, as in the authors' code;
    gamma is part of l and u as well, and there it learns. ReLUs without a normalisation before them have gamma = 1.

    l and u are interval bounds over all images within `eps` in every pixel, with the running statistics of batch
    normalisation, whatever the mode. As in the authors' code, a channel's loss is the mean over examples and positions,
    and every channel counts the same. The paper takes a weight of 0.01; the authors' configurations take 0.001 for
    certified training.

    Attributes:
        eps: Radius of the L-infinity ball around the images, in units of the image's range [0, 1], at least 0; the
            paper trains at 2/255 on CIFAR-10 and SVHN and at 0.1 on Fashion-MNIST.

    Example:
        >>> from pruners.regularisers import Nrs
        >>> -1 <= Nrs(weight=1.0, eps=0.1)(network, images, labels).item() < 1
        True
    """

    paper: ClassVar[str] = "Li et al. 2022, arXiv:2206.07311"
    weight: float = 0.01
    eps: float = 2 / 255

    @override
    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        Regulariser.__post_init__(self)
        check_at_least(0, eps=self.eps)

    @override
    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return self.within(network, images)(images, labels)

    @override
    def within(self, network: nn.Module, images: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        # tracing costs as much as a step of a small network
        graph = trace(network, images[:1])

        def penalty(images: Tensor, _labels: Tensor) -> Tensor:
            intervals = preactivations(graph, linf_ball(images, self.eps))
            if not intervals:
                raise ValueError("expected a network with ReLUs to make stable, got none")
            return self.weight * torch.cat([nrs(each) for each in intervals]).mean()

        return penalty


def nrs(preactivation: Preactivation) -> Tensor:
    """The loss of each channel, or neuron of a linear layer: (c,) in (-1, 1)."""
    product = (preactivation.low * preactivation.high).movedim(1, 0).flatten(1)
    if preactivation.gamma is not None:
        product = product / (preactivation.gamma.detach().square() + _LEAST)[:, None]
    return -torch.tanh(1 + product).mean(1)
