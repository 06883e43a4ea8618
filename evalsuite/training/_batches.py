"""Batches of training examples without augmentation, for methods that only look at them."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from evalsuite.data import Examples
from evalsuite.randomness import derive
from evalsuite.training._loader import feed


def batches(
    examples: Examples, *, seed: int, device: torch.device, size: int = 128
) -> Callable[[], Iterator[tuple[Tensor, Tensor]]]:
    """A function that goes once through `examples` in an order drawn from `seed`, the same at each call.

    Batches are (n, c, h, w), float32 in [0, 1], and labels (n,), on `device`; the last may be smaller.
    """
    source = feed(examples, device)

    def once() -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(examples), generator=Generator().manual_seed(derive(seed, "batches")))
        for index in order.split(size):
            yield source.batch(index)

    return once
