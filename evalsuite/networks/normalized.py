"""Normalisation as part of the network: what stands around every network that is judged."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override


@final
class Normalized(nn.Module):
    """network((images - mean) / std) for images (n, c, h, w) in [0, 1].

    `mean` and `std` are buffers of shape (c,), so attacks, budgets and corruptions live in [0, 1] whatever the network
    was trained on.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        """Wraps `network`, which is kept, not copied.

        Raises:
            ValueError: `mean` and `std` are not finite, of the same length, with std > 0.
        """
        nn.Module.__init__(self)
        centre, spread = torch.tensor(mean, dtype=torch.float32), torch.tensor(std, dtype=torch.float32)
        if centre.ndim != 1 or centre.shape != spread.shape or len(centre) == 0:
            raise ValueError(f"expected mean and std with one number per channel, got {mean} and {std}")
        if not (centre.isfinite().all() and spread.isfinite().all() and (spread > 0).all()):
            raise ValueError(f"expected a finite mean and std > 0, got {mean} and {std}")
        self.register_buffer("mean", centre)
        self.register_buffer("std", spread)
        self.network = network

    @override
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network((images - self.mean[:, None, None]) / self.std[:, None, None])
        return logits
