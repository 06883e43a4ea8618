"""Published grids of prune ratios: those of Lost in Pruning, and those of lottery tickets.

Liebenwein et al. 2021 (arXiv:2103.03014) prune in small steps and retrain after the last step of each cycle. The
keep ratios fall geometrically, some grids end linearly; scores that are recomputed between two steps without
retraining change nothing for weight thresholding, so that only the last step of each cycle is a network of the family.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

Grid = Literal[
    "resnet20",
    "resnet56",
    "wrn16_8",
    "densenet22",
    "robust",
    "robust_densenet22",
    "imagenet_resnet18",
    "imagenet_resnet101",
    "voc_deeplabv3",
]


def geometric(first: float, last: float, steps: int) -> list[float]:
    """`steps` keep ratios from `first` down to `last`, each the same factor below the one before."""
    return [float(keep) for keep in np.geomspace(first, last, steps)]


def linear(first: float, last: float, steps: int) -> list[float]:
    """`steps` keep ratios from `first` down to `last`, each the same amount below the one before."""
    return [float(keep) for keep in np.linspace(first, last, steps)]


def retrained(keep_ratios: Sequence[float], cycles: int) -> tuple[float, ...]:
    """Prune ratios after the last step of each of `cycles` cycles, as even as possible, the longer cycles first.

    Raises:
        ValueError: There are more cycles than keep ratios, or none.
    """
    if not 1 <= cycles <= len(keep_ratios):
        raise ValueError(f"expected 1 <= cycles <= {len(keep_ratios)}, got {cycles}")
    return tuple(1.0 - float(chunk[-1]) for chunk in np.array_split(np.asarray(keep_ratios), cycles))


def lottery(rounds: int, share: float = 0.2) -> tuple[float, ...]:
    """Prune ratios after each round of iterative magnitude pruning: every round removes `share` of what is left.

    Frankle and Carbin 2019 (arXiv:1803.03635): iterative pruning to find lottery tickets, 20 % a round.

    Args:
        rounds: At least 1.
        share: In (0, 1).

    Raises:
        ValueError: An argument is out of range.
    """
    if rounds < 1:
        raise ValueError(f"expected rounds >= 1, got {rounds}")
    if not 0 < share < 1:
        raise ValueError(f"expected 0 < share < 1, got {share}")
    return tuple(1 - (1 - share) ** done for done in range(1, rounds + 1))


def lost_in_pruning(grid: Grid) -> tuple[float, ...]:
    """The paper's prune ratios, increasing, for one of its set-ups.

    "resnet56" also stands for resnet110 and vgg16; "robust" for all CIFAR networks with robust training but densenet22.
    """
    return retrained(*_GRIDS[grid])


_START = geometric(0.99, 0.855, 2)
_GRIDS: Mapping[Grid, tuple[list[float], int]] = {
    "resnet20": ([*_START, *geometric(0.85, 0.15, 58), *linear(0.132, 0.02, 9)], 23),
    "resnet56": ([*_START, *geometric(0.85, 0.02, 58)], 20),
    "wrn16_8": ([*_START, *geometric(0.85, 0.10, 58), *linear(0.09182, 0.02, 9)], 23),
    "densenet22": ([*_START, *geometric(0.85, 0.10, 58), *linear(0.0918, 0.0469, 6)], 22),
    "robust": (geometric(0.80, 0.03, 16), 16),
    "robust_densenet22": (geometric(0.80, 0.05, 13), 13),
    "imagenet_resnet18": ([*geometric(0.90, 0.35, 12), *linear(0.31, 0.10, 6)], 18),
    "imagenet_resnet101": ([*geometric(0.90, 0.35, 12), *linear(0.31, 0.184, 4)], 16),
    "voc_deeplabv3": ([*geometric(0.80, 0.10, 10), *geometric(0.08, 0.03, 5)], 15),
}
