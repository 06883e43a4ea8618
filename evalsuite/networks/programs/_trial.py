"""Tries an exported file out in a child process before it is run here: on which images, within which limits."""

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from evalsuite.process.confined import Limits

_BYTES_A_PIXEL: Final = 2500
"""Of a file that takes as much memory and time to read as a deep network takes for one pixel."""

_LONGEST: Final = 300


def trial_limits(size: int, shape: tuple[int, int, int]) -> Limits:
    """For a file of `size` bytes that takes images of `shape` (channels, height, width), run a few times."""
    return Limits.for_size(size + _BYTES_A_PIXEL * shape[1] * shape[2])


def trial_images(batch: int | None, shape: tuple[int, int, int]) -> Iterator[Tensor]:
    """Black images, then noise; as many as the file takes at once, or one and then three where any number will do.

    Args:
        batch: Images that the file takes at once; None: any number.
        shape: (channels, height, width).
    """
    yield torch.zeros(batch or 1, *shape)
    yield torch.rand(batch or 3, *shape, generator=torch.Generator().manual_seed(0))


def lacks_memory(error: Exception) -> bool:
    """Whether a library says that there is not enough memory, which is then told as such."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error) or "not enough memory" in str(error)


def first_line(error: Exception) -> str:
    """What a library says, in one line and no more than a message can hold."""
    line = (str(error).strip() or type(error).__name__).partition("\n")[0]
    # not where it stands in the library's source
    return line.rpartition("Status Message: ")[2].removeprefix("[ONNXRuntimeError] : ")[:_LONGEST]
