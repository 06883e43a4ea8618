"""Training examples on the device that trains: kept in memory where they fit."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from evalsuite.data import Examples

_CHUNK = 512


@final
@dataclass(frozen=True, kw_only=True)
class Feed:
    """Batches by position.

    Attributes:
        examples: What is fed.
        held: All images on the device, (n, c, h, w), as they are stored; None where they are read batch by batch.
        labels: (n,), on the device.
    """

    examples: Examples
    held: Tensor | None
    labels: Tensor

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Images, float32 in [0, 1], and labels at `index` (k,), on the device."""
        labels = self.labels[index.to(self.labels.device)]
        if self.held is None:
            return self.examples.pixels(index).to(labels.device), labels
        raw = self.held[index.to(labels.device)]
        return (raw.float() / 255 if raw.dtype == torch.uint8 else raw.float()), labels


def feed(examples: Examples, device: torch.device, *, memory: int = 4 << 30) -> Feed:
    """`examples` for `device`: in its memory where they take at most `memory` bytes, else read when asked for."""
    first = _raw(examples, torch.arange(1))
    fits = first.numel() * first.element_size() * len(examples) <= memory
    held = None
    if fits:
        held = torch.empty(len(examples), *first.shape[1:], dtype=first.dtype, device=device)
        for chunk in torch.arange(len(examples)).split(_CHUNK):
            held[chunk[0] : chunk[-1] + 1] = _raw(examples, chunk).to(device)
    return Feed(examples=examples, held=held, labels=examples.labels.to(device))


def _raw(examples: Examples, index: Tensor) -> Tensor:
    return examples.images[examples.positions[index]]
