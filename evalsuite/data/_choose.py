"""Draws a fixed, stratified order of examples: the first 500 of 2000 chosen are the 500 chosen."""

import numpy as np
import torch

from evalsuite.data._base import Examples
from evalsuite.errors import UsageError
from evalsuite.randomness import derive, uniform


def choose(examples: Examples, n: int, seed: int) -> Examples:
    """`n` of `examples`, stratified by class, in an order that depends on (labels, seed) alone.

    Seats are given to classes in the order (j + 1/2) / m for the j-th seat of a class of m examples: the divisor
    method of Webster (1832) and Sainte-Laguë (1910). It is house-monotone, so a smaller choice is always a prefix of a
    larger one, with the same shards at its start. Which example takes a seat, and ties between classes, are drawn.

    Raises:
        UsageError: `n` is not in 1, ..., len(examples).
    """
    if not 1 <= n <= len(examples):
        raise UsageError(f"expected between 1 and {len(examples)} examples, got {n}")
    labels = examples.labels.numpy()
    member, tie = (_draws(seed, purpose, len(labels)) for purpose in ("member", "tie"))
    by_class = np.lexsort((member, labels))
    _, starts, sizes = np.unique(labels[by_class], return_index=True, return_counts=True)
    rank = np.arange(len(labels)) - np.repeat(starts, sizes)
    # equal fractions give equal floats, since division rounds correctly: ties are seen as ties
    quotient = (2 * rank + 1) / np.repeat(sizes, sizes)
    order = np.lexsort((tie, quotient))
    return examples.select(torch.from_numpy(by_class[order[:n]]))


def _draws(seed: int, purpose: str, n: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    key = torch.tensor([derive(seed, "choose", purpose)])
    draws: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = uniform(key, (n,), dtype=torch.float64)[0].numpy()
    return draws
