"""Bounded batch normalisation: the scale of a channel is a sigmoid, its importance in (0, 1).

Suteu and Guo 2022 (arXiv:2204.06404) put sigmoid(gamma) in the place of batch norm's gamma and leave beta out. Here a
trained network is turned into such a one that computes the same. With g and b the scale and shift of a channel, G the
largest |g| of its layer and x^ the normalised input,

    g x^ + b = s (r x^ + t),    s = sigmoid(gamma) = |g| / G,    r = g / s (sign and G),    t = b / s,

s kept off 0 and 1, where the sigmoid could not move. r is fixed while training, so that nothing in the layer makes up
for an s that recedes; t is trained; and s scales all that goes out, so that at s = 0 the channel is silent.
"""

from collections.abc import Collection
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.parameter import Parameter
from typing_extensions import override

from neuralnets.copies import copied
from neuralnets.layers import BATCH_NORMS

_LEAST, _MOST = 1e-4, 0.99


@final
class Bounded(nn.Module):
    """A batch normalisation whose outputs are multiplied by sigmoid(gamma).

    Attributes:
        norm: The normalisation, its weight r and its bias t.
        gamma: (channels,).
    """

    def __init__(self, norm: nn.Module) -> None:
        """Take over `norm`, which is changed; its weight is not all zero."""
        super().__init__()
        weight = norm.get_parameter("weight").detach()
        shares = (weight.abs() / weight.abs().amax()).clamp(_LEAST, _MOST)
        self.gamma = Parameter(shares.logit())
        self.norm = norm
        with torch.no_grad():
            # by the sigmoid that will be computed, so that its rounding cancels
            self._scale_(1 / self.importance)
        norm.get_parameter("weight").requires_grad = False
        self.train(norm.training)

    @property
    def importance(self) -> Tensor:
        """(channels,), in (0, 1)."""
        return self.gamma.sigmoid()

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.norm(inputs)
        return outputs * self.importance.view(-1, *[1] * (outputs.dim() - 2))

    def plain(self) -> nn.Module:
        """A batch normalisation that computes the same."""
        copy = copied(self)
        with torch.no_grad():
            copy._scale_(copy.importance)
        return copy.norm

    def _scale_(self, factors: Tensor) -> None:
        for tensor in self.norm.parameters(recurse=False):
            tensor.mul_(factors)


def can_be_bounded(layer: nn.Module) -> bool:
    """Whether `layer` is a batch normalisation with a scale that is not all zero."""
    return isinstance(layer, BATCH_NORMS) and layer.affine and bool((layer.weight != 0).any())


def bounded(network: nn.Module, names: Collection[str]) -> nn.Module:
    """A copy of `network` that computes the same, in which the batch normalisations called `names` are bounded."""
    copy = copied(network)
    for name in names:
        copy.set_submodule(name, Bounded(copy.get_submodule(name)))
    return copy


def importances(network: nn.Module) -> dict[str, Tensor]:
    """Name of each bounded normalisation → (channels,), in (0, 1), float64, on the CPU."""
    bounded_norms = {name: module for name, module in network.named_modules() if isinstance(module, Bounded)}
    return {name: module.importance.detach().double().cpu() for name, module in bounded_norms.items()}


def unbounded(network: nn.Module) -> nn.Module:
    """A copy of `network` that computes the same, with plain batch normalisations in the place of bounded ones."""
    copy = copied(network)
    for name, module in list(copy.named_modules()):
        if isinstance(module, Bounded):
            copy.set_submodule(name, module.plain())
    return copy
