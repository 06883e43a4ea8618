"""Counts how often a network multiplies with each of its weights: the cost of one weight."""

from torch import Tensor, nn

from neuralnets.copies import copied
from neuralnets.forward_pass import multiplications
from neuralnets.probes import ramp
from neuralnets.weights import prunable


def positions(network: nn.Module, example: Tensor) -> dict[str, int]:
    """Prunable parameter → multiplications per image with each of its entries: output positions, tokens, or steps.

    Args:
        network: Not changed.
        example: (1, c, h, w), only its shape and device matter.
    """
    model = copied(network)
    weights = prunable(model)
    counts = dict.fromkeys(weights, 0)
    images = ramp(example.shape[1:], example.device).to(next(model.parameters()).dtype)
    for use in multiplications(model, images).uses:
        for name in use.sources & counts.keys():
            counts[name] += use.weight.numel() * use.positions
    return {name: counts[name] // weight.numel() for name, weight in weights.items()}
