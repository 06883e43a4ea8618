"""What every classification task writes down after a forward pass."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from evalsuite.tasks._base import Observations


@torch.inference_mode()
def predict(networks: Sequence[nn.Module], images: Tensor, labels: Tensor) -> tuple[Observations, ...]:
    """What every network says to the same images: `prediction` and the columns below, each (n,).

    `confidence` is the probability of the prediction, `truth` that of the true class, `squares` the sum of all squared
    probabilities and `energy` the log of the summed exponentials of the logits: what proper scores, calibration
    and rejection are read off. `probabilities` (n, classes) is for `Task.relate` and not stored.
    """
    return tuple(_observe(network(images), labels) for network in networks)


def _observe(logits: Tensor, labels: Tensor) -> Observations:
    logits = logits.float()
    probabilities = logits.softmax(-1)
    confidence, prediction = probabilities.max(-1)
    return {
        "prediction": prediction.to(torch.int32).cpu().numpy(),
        "confidence": confidence.cpu().numpy(),
        "truth": probabilities.gather(-1, labels[:, None])[:, 0].cpu().numpy(),
        "squares": probabilities.square().sum(-1).cpu().numpy(),
        "energy": logits.logsumexp(-1).cpu().numpy(),
        "probabilities": probabilities.cpu().numpy(),
    }
