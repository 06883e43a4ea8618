"""Buffers that a network's constructor sets and nothing changes: a checkpoint may do without them."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from evalsuite.networks._initialisation import seeded


def constants(build: Callable[[int], nn.Module], shape: tuple[int, int, int], names: Iterable[str]) -> frozenset[str]:
    """Those of `names` that are buffers, the same whatever the seed, and not changed by a pass in training mode.

    Running statistics are changed by such a pass, and random projections depend on the seed: these are part of what
    was trained. Tables of positions and constants of a normalisation are not.

    Args:
        build: Seed → the untrained network.
        shape: (channels, height, width) of its images.
        names: Of tensors.
    """
    first, second = build(0), build(1)
    before = {name: tensor.clone() for name, tensor in first.named_buffers()}
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad(), seeded(0):
            first.train()(images)
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError):
        # a network that does not run tells nothing
        return frozenset()
    after, other = dict(first.named_buffers()), dict(second.named_buffers())
    return frozenset(
        name
        for name in names
        if name in before and name in other and _same(before[name], after[name]) and _same(before[name], other[name])
    )


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)
