"""What every classification task writes down after a forward pass."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from evalsuite.tasks._base import Observations


@torch.inference_mode()
def predict(networks: Sequence[nn.Module], images: Tensor) -> tuple[Observations, ...]:
    """Prediction (n,), confidence in it (n,) and probabilities (n, classes) of every network on the same images."""
    return tuple(_observe(network(images)) for network in networks)


def _observe(logits: Tensor) -> Observations:
    probabilities = logits.float().softmax(-1)
    confidence, prediction = probabilities.max(-1)
    return {
        "prediction": prediction.to(torch.int32).cpu().numpy(),
        "confidence": confidence.cpu().numpy(),
        "probabilities": probabilities.cpu().numpy(),
    }
