"""Loads training examples onto the device, and keeps them in its memory where they fit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from evalsuite.data import Examples

_CHUNK = 512


@final
@dataclass(frozen=True, kw_only=True)
class Feed:
    """Batches of training examples on a device, by position.

    Attributes:
        examples: What is fed.
        held: All images on the device, (n, c, h, w), as they are stored; None where they are read batch by batch.
        labels: Right answers, (n, ...), on the device; None where they are read batch by batch.
    """

    examples: Examples
    held: Tensor | None
    labels: Tensor | None
    device: torch.device

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Images, float32 in [0, 1], and right answers at `index` (k,), on the device."""
        there = index.to(self.device)
        labels = self.examples.truths(index).to(self.device) if self.labels is None else self.labels[there]
        if self.held is None:
            return self.examples.pixels(index).to(self.device), labels
        raw = self.held[there]
        return (raw.float() / 255 if raw.dtype == torch.uint8 else raw.float()), labels


def feed(examples: Examples, device: torch.device, *, memory: int = 4 << 30) -> Feed:
    """`examples` for `device`: in its memory where they take at most `memory` bytes, else read when asked for."""
    first = (_raw(examples, torch.arange(1)), examples.truths(torch.arange(1)))
    fits = sum(tensor.numel() * tensor.element_size() for tensor in first) * len(examples) <= memory
    if examples.targets is None:
        labels: Tensor | None = examples.labels.to(device)
    else:
        labels = _held(examples.truths, len(examples), device) if fits else None
    held = _held(lambda index: _raw(examples, index), len(examples), device) if fits else None
    return Feed(examples=examples, held=held, labels=labels, device=device)


def _held(read: Callable[[Tensor], Tensor], n: int, device: torch.device) -> Tensor:
    """Everything that `read` gives by position, on `device`."""
    first = read(torch.arange(1))
    held = torch.empty(n, *first.shape[1:], dtype=first.dtype, device=device)
    for chunk in torch.arange(n).split(_CHUNK):
        held[chunk[0] : chunk[-1] + 1] = read(chunk).to(device)
    return held


def _raw(examples: Examples, index: Tensor) -> Tensor:
    return examples.images[examples.positions[index]]
