"""Network slimming's penalty: the scales of batch normalisation become sparse."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.layers import BATCH_NORMS
from pruners.regularisers._base import Regulariser


@final
@dataclass(frozen=True, kw_only=True)
class Slimming(Regulariser):
    """weight * sum of |gamma| over all channels of all batch normalisations.

    Liu et al. 2017 (arXiv:1708.06519), equation 1. At gamma = 0 the subgradient is 0, as in the authors' code, which
    takes 1e-4 for VGG and 1e-5 for ResNets and DenseNets.

    Example:
        >>> from pruners.regularisers import Slimming
        >>> Slimming(weight=0.5)(network, images, labels).item()  # eight scales, which begin at 1
        4.0
    """

    paper: ClassVar[str] = "Liu et al. 2017, arXiv:1708.06519"
    weight: float = 1e-4

    @override
    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        norms = [module for module in network.modules() if isinstance(module, BATCH_NORMS) and module.affine]
        if not norms:
            raise ValueError("expected a network with scales of batch normalisation to penalise, got none")
        return self.weight * torch.cat([norm.weight for norm in norms]).abs().sum()
