"""The loss that networks are trained by, chosen by the type of the right answers."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor


def criterion(outputs: Tensor, truths: Tensor, *, reduction: Literal["mean", "sum"] = "mean") -> Tensor:
    """Cross-entropy of class numbers (one an image, or one a pixel), mean squared error of numbers.

    Args:
        outputs: Logits (n, classes) or (n, classes, h, w); numbers in the shape of `truths`.
        truths: Class numbers, int64, -100 where nothing is judged; or numbers.
        reduction: Over everything that is judged.

    Returns:
        A scalar.
    """
    if truths.is_floating_point():
        return F.mse_loss(outputs, truths, reduction=reduction)
    return F.cross_entropy(outputs, truths, reduction=reduction)
