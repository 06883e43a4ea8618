"""Neurons between AND and OR: how many of its inputs have to agree before a neuron answers.

The idea is Fontana's (2021, arXiv:2102.07389): a neuron that answers to a few combinations of its inputs is an AND, one
that almost any input sets off is an OR, and many ORs make a classifier brittle; what a neuron says to real data is
compared with what it says to scrambled data. THE DEFINITIONS BELOW ARE OURS, made to be computed; the paper, of which
only abstracts could be read, gives no formula for them.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from pruners._checks import check_at_least
from pruners.regularisers._base import Regulariser
from pruners.regularisers._neurons import neurons


def andness(weight: Tensor, bias: Tensor | None, low: Tensor, high: Tensor) -> Tensor:
    """How far a neuron w x + b is an AND of inputs in the box [low, high]: (neurons,). Our own definition.

    With [l, u] the values that it can take, -(u + l) / (u - l). For inputs in [-1, 1] that is -b / sum|w|: 0 asks for a
    majority, towards 1 all inputs have to agree (AND), towards -1 one is enough (OR). At 1 and above it is never
    positive, at -1 and below always: so |andness| < 1 says the same as that a ReLU behind it is unstable. A neuron
    without inputs is an endless AND or OR, by the sign of its bias, and NaN without a bias.

    Args:
        weight: (neurons, ...).
        bias: (neurons,), or None.
        low: Of each input, broadcast against `weight[0]`.
        high: Likewise, at least `low`.
    """
    middle = (weight * ((low + high) / 2)).flatten(1).sum(1)
    reach = (weight.abs() * ((high - low) / 2)).flatten(1).sum(1)
    return -(middle if bias is None else middle + bias) / reach


def scrambled(values: Tensor, generator: Generator) -> Tensor:
    """`values` (n, ...) with every entry of an example taken from an example of its own: margins stay, jointness goes.

    Args:
        values: Not changed.
        generator: On the CPU; the only source of randomness.
    """
    flat = values.flatten(1)
    order = torch.rand(flat.shape, generator=generator).argsort(0).to(values.device)
    return flat.gather(0, order).view_as(values)


def silence(pre_activations: Tensor) -> Tensor:
    """Per neuron the share of examples to which it does not answer, 1 - P(z > 0): (neurons,). Our own definition.

    On scrambled data this is the measured andness.

    Args:
        pre_activations: (n, neurons), n at least 1.
    """
    return (pre_activations <= 0).double().mean(0)


def selectivity(real: Tensor, other: Tensor) -> Tensor:
    """Per neuron how far what it says to real and to scrambled data differs: (neurons,) in [0, 1]. Our own definition.

    The two-sample Kolmogorov-Smirnov distance: the largest difference of the two distribution functions.

    Args:
        real: (n, neurons).
        other: (m, neurons).
    """
    points = torch.cat([real, other]).T.contiguous()
    below = [
        torch.searchsorted(sample.T.contiguous().sort(dim=1).values, points, right=True).double() / len(sample)
        for sample in (real, other)
    ]
    return (below[0] - below[1]).abs().amax(1)


@final
@dataclass(frozen=True, kw_only=True)
class AndOr(Regulariser):
    """weight * mean over hidden layers of max(0, activity on scrambled images / activity on real ones - margin).

    Fontana 2021 (arXiv:2102.07389) for the idea; the formula is our own. Activity is the mean of max(0, what the next
    layer reads); the ratio is the same for a layer that is scaled as a whole, so that small weights are no way out.
    Both halves go through the network as one batch: in training mode batch normalisation would otherwise hide how they
    differ. The same `seed` scrambles every batch with the same permutations; since batches change, no two steps see
    the same.

    Attributes:
        margin: Activity on scrambled images that is free, as a share of that on real ones, at least 0.
        seed: Of the permutations.

    Example:
        >>> from pruners.regularisers import AndOr
        >>> bool(AndOr(weight=1.0, margin=100.0)(network, images, labels) == 0)  # more than any network shows
        True
    """

    paper: ClassVar[str] = "after Fontana 2021, arXiv:2102.07389"
    weight: float = 0.01
    margin: float = 0.0
    seed: int = 0

    @override
    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        Regulariser.__post_init__(self)
        check_at_least(0, margin=self.margin)

    @override
    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        both = torch.cat([images, scrambled(images, Generator().manual_seed(self.seed))])
        hidden = neurons(network, both).hidden
        if not hidden:
            raise ValueError("expected a network with a hidden layer, got one without")
        excess = [F.relu(_ratio(*F.relu(layer).chunk(2)) - self.margin) for layer in hidden]
        return self.weight * torch.stack(excess).mean()


def _ratio(real: Tensor, other: Tensor) -> Tensor:
    active = real.mean()
    # a layer that is silent on real images has nothing to be compared with
    return torch.where(active > 0, other.mean() / torch.where(active > 0, active, 1.0), 0.0)
