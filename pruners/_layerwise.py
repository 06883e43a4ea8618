"""Masks with the same ratio in every layer, cheap enough for every step of a training."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pruners._base import Scores
from pruners._masks import Masks, keep_global, keep_layerwise


def even_counts(alive: Mapping[str, Tensor], keep: int) -> dict[str, int]:
    """How many entries each layer keeps so that all keep the same fraction, `keep` in all, as in `keep_layerwise`.

    Raises:
        ValueError: `keep` is not in 0, ..., number of True entries.
    """
    # the numbers do not depend on the scores
    masks = keep_layerwise(
        {name: torch.zeros(mask.shape, device=mask.device) for name, mask in alive.items()}, keep, alive
    )
    return {name: int(mask.sum()) for name, mask in masks.items()}


def keep_largest(scores: Scores, counts: Mapping[str, int], alive: Mapping[str, Tensor]) -> Masks:
    """Of every layer the `counts` largest scores among what is alive; no sorting, so cheap enough for every step.

    Raises:
        ValueError: A score is NaN, or fewer are alive.
    """
    return {name: keep_global({name: score}, counts[name], alive)[name] for name, score in scores.items()}
