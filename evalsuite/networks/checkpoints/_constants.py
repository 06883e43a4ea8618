"""Finds buffers that a constructor sets and no training changes: a checkpoint may lack them."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.networks.architectures._initialisation import seeded

_DOES_NOT_RUN: Final = (RuntimeError, ValueError, IndexError, TypeError, AssertionError)


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
    except _DOES_NOT_RUN:
        # a network that does not run tells nothing
        return frozenset()
    after, other = dict(first.named_buffers()), dict(second.named_buffers())
    return frozenset(
        name
        for name in names
        if name in before and name in other and _same(before[name], after[name]) and _same(before[name], other[name])
    )


def refuse_lazy(arch: str, network: nn.Module) -> None:
    """Refuse layers whose sizes only a first image would tell.

    Raises:
        UsageError: There are such layers; the first is named.
    """
    lazy = [name for name, tensor in network.named_parameters() if isinstance(tensor, UninitializedParameter)]
    if lazy:
        raise UsageError(
            f"expected a network whose layers have their sizes, got a lazy layer ({lazy[0]}) from {arch}: let it run "
            f"one image through the network before it returns it"
        )


def refuse_drawn(path: Path, arch: str, first: nn.Module, second: nn.Module, shape: tuple[int, int, int]) -> None:
    """Refuse numbers that the constructor draws at random and that no state_dict keeps.

    The network that was trained drew others: buffers that are not persistent, tensors and numbers in attributes. With
    the same state_dict the same network built twice has to answer the same.

    Args:
        path: The file, for messages.
        arch: What was built, likewise.
        first: Built with one seed.
        second: Built with another; takes the tensors of the first.
        shape: (channels, height, width) of the images.

    Raises:
        RefusedInputError: There are such numbers; they are named.
    """
    try:
        second.load_state_dict(first.state_dict())
        outputs = [_answer(network, shape) for network in (first, second)]
    except _DOES_NOT_RUN:
        return  # told where it is poured
    if _alike(*outputs):
        return
    one, other = dict(_unkept(first)), dict(_unkept(second))
    drawn = [name for name, value in one.items() if name in other and not _alike(value, other[name])]
    raise RefusedInputError(
        f"expected the file to hold all numbers that {arch} computes with, got {', '.join(drawn[:5]) or 'some'}, which "
        f"its constructor draws at random and no state_dict keeps: register them as buffers that are persistent and "
        f"save it again, or let the constructor draw them from a seed of its own: {path}"
    )


def _answer(network: nn.Module, shape: tuple[int, int, int]) -> object:
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), seeded(0):  # layers that draw draw the same
        return network.eval()(images)


def _unkept(network: nn.Module) -> Iterator[tuple[str, object]]:
    kept = network.state_dict(keep_vars=True).keys()
    for path, module in network.named_modules():
        before = f"{path}." if path else ""
        for key, value in module.named_buffers(recurse=False):
            if before + key not in kept:
                yield before + key, value
        for key, value in vars(module).items():
            if _numeric(value):
                yield before + key, value


def _numeric(value: object) -> bool:
    """Whether a forward pass may compute with it; whole numbers are sizes and counts, or addresses in memory."""
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(each, int | float | Tensor | np.ndarray) for each in value)
    return isinstance(value, float | Tensor | np.ndarray)


def _alike(one: object, other: object) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and _same(one, other)
    return bool(np.array_equal(np.asarray(one), np.asarray(other)))


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)
