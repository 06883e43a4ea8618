"""Turns logits into classes and probabilities, also where a network puts out probabilities or NaN."""

from typing import Final

import torch
from torch import Tensor

NOT_FINITE: Final = -2
"""In place of a class, where the outputs hold NaN or infinity: never right."""
_SUMS: Final = 1e-3


def decided(logits: Tensor) -> Tensor:
    """The class of each row, (n,), int64; `NOT_FINITE` where a row (n, classes) holds a number that is not finite."""
    return logits.argmax(1).where(logits.isfinite().all(1), NOT_FINITE)


def are_probabilities(outputs: Tensor) -> Tensor:
    """(n,), bool: which rows lie in [0, 1] and add up to 1; logits do so by chance only."""
    inside = (outputs >= 0).all(1) & (outputs <= 1).all(1)
    result: Tensor = inside & ((outputs.sum(1) - 1).abs() <= _SUMS)
    return result


def probabilities(outputs: Tensor) -> Tensor:
    """(n, classes): softmax of logits; rows that are probabilities already are taken as such."""
    softmax = outputs.softmax(1)
    return torch.where(are_probabilities(outputs)[:, None], outputs, softmax)
