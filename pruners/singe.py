"""SInGE: channels whose gradients vary least on the way to zero go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.copies import copied
from neuralnets.losses import criterion
from neuralnets.weights import prunable
from pruners._base import Context, Need
from pruners._channel_pruner import ChannelPruner
from pruners._channels import ChannelGroup, filters
from pruners._data import examples, scoring
from pruners._gates import gate_gradients, gated

_Batches = Sequence[tuple[Tensor, Tensor]]


@final
@dataclass(frozen=True, kw_only=True)
class SInGE(ChannelPruner):
    """Removes the channels with the smallest integral of the gradient's variation while they shrink to zero.

    Yvinec et al. 2022 (arXiv:2207.04089): gradients tell of small changes, and a channel that is set to zero leaves
    that neighbourhood; so they are followed on the way. Of channel i with filters W_i, scaled by mu^s:

        "norms": sum over s = 0, ..., steps - 1 of ||mu^s W_i||_p ||dL/dW_i at mu^s W_i||_p,
        "ig":    |integral over a from 0 to 1 of dL/da|, all weights scaled by a: integrated gradients (Sundararajan
                 et al. 2017, arXiv:1703.01365), at `steps` midpoints. Before absolute values are taken, those of a
                 group add up to what the loss changes by without the group (completeness).

    L is the mean cross-entropy of training images. Scaled is what the next layers read, which is the same for ReLU and
    behind batch normalisation folded into its layer, bias included; elsewhere the way still ends in removal. All
    channels of a group shrink together, other groups stay as they are: one way per group instead of one per channel,
    which is an approximation. Where several filters produce a channel their products of norms are added up; biases do
    not count in the norms. The paper fine-tunes between removals; here a network is scored once as it is. Norms have no
    scale that layers share.

    None of the default values could be confirmed from the paper.

    Attributes:
        images: Training images looked at, at least 1.
        steps: Points on the way, at least 1; each costs one forward and one backward pass per group.
        mu: Factor between two points of "norms", in (0, 1).
        p: Order of the norms of "norms", at least 1.
        integral: What is summed up on the way.

    Example:
        >>> from pruners import SInGE, prune
        >>> smaller = prune(network, SInGE(steps=3), 0.5, example=images[:1], batches=batches)
        >>> smaller[0].out_channels, smaller[3].out_channels
        (6, 5)
    """

    criterion: ClassVar[str] = "integrated variation of the gradient"
    needs: ClassVar[frozenset[Need]] = frozenset({"data", "gradients"})
    paper: ClassVar[str] = "Yvinec et al. 2022, arXiv:2207.04089"
    nested: ClassVar[bool] = True
    images: int = 512
    steps: int = 10
    mu: float = 0.8
    p: float = 2.0
    integral: Literal["norms", "ig"] = "norms"

    @override
    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        ChannelPruner.__post_init__(self)
        for name, value in (("images", self.images), ("steps", self.steps), ("p", self.p)):
            if not value >= 1:
                raise ValueError(f"expected {name} >= 1, got {value}")
        if not 0 < self.mu < 1:
            raise ValueError(f"expected mu in (0, 1), got {self.mu}")

    @override
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        batches = examples(context, self.images)
        with scoring(network) as model:
            if self.integral == "ig":
                return [integrated(model, group, batches, self.steps).abs() for group in groups]
            scales = [self.mu**step for step in range(self.steps)]
            return [_variation(model, group, batches, scales, self.p) for group in groups]


def integrated(model: nn.Module, group: ChannelGroup, batches: _Batches, steps: int) -> Tensor:
    """Integrated gradients of the mean loss from removed to present channels of `group`: (size,), float64."""
    total = torch.zeros(group.size, dtype=torch.float64)
    for step in range(steps):
        for images, labels in batches:
            (slopes,) = gate_gradients(model, [group], images, labels, at=(step + 0.5) / steps)
            total += slopes.double().sum(0).cpu()
    return total / (steps * _count(batches))


def _variation(model: nn.Module, group: ChannelGroup, batches: _Batches, scales: Sequence[float], p: float) -> Tensor:
    # With channels scaled by a behind them, the derivative by W is a times that at a W: so ||W|| times its norm is
    # the same as ||a W|| times the norm of that at a W, and no weight has to be changed. For the same reason no scale
    # of a normalisation behind a filter matters.
    names = {f"{side.layer}.weight".removeprefix(".") for side in group.sides if side.direction == "out"}
    weights = {name: weight for name, weight in prunable(model).items() if name in names}
    gradient = copied(model)
    total = torch.zeros(group.size, dtype=torch.float64)
    for scale in scales:
        slopes = [torch.zeros_like(weight) for weight in weights.values()]
        for images, labels in batches:
            gate = torch.full((1, group.size), scale, device=images.device)
            with gated(model, [group], [gate]):
                mean = criterion(model(images), labels, reduction="sum") / _count(batches)
            slopes = [a + b for a, b in zip(slopes, torch.autograd.grad(mean, list(weights.values())), strict=True)]
        with torch.no_grad():
            for name, slope in zip(weights, slopes, strict=True):
                gradient.get_parameter(name).copy_(slope)
        for (rows, channels), (changes, _) in zip(filters(model, group), filters(gradient, group), strict=True):
            products = (_norms(rows, p) * _norms(changes, p)).cpu()
            total.index_add_(0, channels[channels >= 0], products[channels >= 0])
    return total


def _count(batches: _Batches) -> int:
    return sum(len(labels) for _, labels in batches)


def _norms(rows: Tensor, p: float) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(rows.double(), p, dim=1)
    return norms
