"""What is written down after a forward pass."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from evalsuite.data._base import Batch
from evalsuite.tasks._base import Observations


@torch.inference_mode()
def predict(networks: Sequence[nn.Module], images: Tensor, shard: Batch) -> tuple[Observations, ...]:
    """What every network says to `images` (n, c, h, w), which are shown in place of those of `shard`."""
    return tuple(shard.problem.observe(network(images), shard.truths) for network in networks)
