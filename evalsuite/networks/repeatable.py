"""Checks that a network's outputs for an image are the same again, and whatever stands beside it in the batch."""

from typing import Final

import torch
from torch import Tensor, nn

RANDOM: Final = "its outputs are random: two passes over the same images differ (dropout left on?)"
RESEEDED: Final = (
    "it seeds torch's random numbers whenever it is asked: attacks on it would make the same draws again and again"
)
BATCH: Final = "its outputs depend on the other images of the batch"
_SAME: Final = 1e-3
"""Relative to the largest output: more is no rounding, whatever the size of the batch and the kernels chosen for it."""


@torch.inference_mode()
def doubts(network: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Reasons for which nothing that is observed of `network` can be trusted.

    Args:
        network: In evaluation mode.
        images: (n, c, h, w) in [0, 1] on its device; a few, n >= 2.
    """
    half = len(images) // 2
    # the draws of others are not moved by asking
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        first, second, reseeded = _twice(network, images)
        apart = torch.cat([network(part.contiguous()).float() for part in (images[:half], images[half:])])
    reasons = (RESEEDED,) if reseeded else ()
    if differ(first, second):
        return (RANDOM, *reasons)
    return (BATCH, *reasons) if differ(first, apart) else reasons


def _twice(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Two answers, each with random numbers of its own, and whether both leave the generator in the same state."""
    states = [torch.Generator().manual_seed(seed).get_state() for seed in (1, 2)]
    answers: list[Tensor] = []
    for place, state in enumerate(states):
        torch.set_rng_state(state)
        answers.append(network(images).float())
        states[place] = torch.get_rng_state()
    return answers[0], answers[1], torch.equal(*states)


def differ(first: Tensor, second: Tensor) -> bool:
    """Whether two answers to the same images are not the same but for rounding.

    Numbers that are not finite are the tasks' business: they count as equal to themselves here.
    """
    reach = _SAME * (1 + first.nan_to_num(posinf=0, neginf=0).abs().amax())
    close = (first - second).abs() <= reach
    both_odd = ~first.isfinite() & ~second.isfinite()
    return not bool((close | both_odd).all())
