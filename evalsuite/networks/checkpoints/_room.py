"""Checks, before anything is allocated, that a file can hold the network that its header describes."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from torch import nn

from evalsuite.errors import RefusedInputError
from evalsuite.process.confined import MEMORY, Limits

_FLOAT: Final = 4
_WIDEST: Final = 16
"""Numbers that a network keeps for each number of an image, at least, while it computes."""


def check_room(path: Path, make: Callable[[], nn.Module], shape: tuple[int, int, int], size: int) -> None:
    """Makes sure of it, for a network that is run on an image.

    A header of a few words may ask for a network, or for an image, that takes all memory.

    Args:
        path: The file, for messages.
        make: Builds the network; called where tensors have shapes and no numbers.
        shape: (channels, height, width) of the image.
        size: Of the file, in bytes.

    Raises:
        RefusedInputError: It takes more than the file lets expect.
    """
    limit = Limits.for_size(size).memory
    needed = _FLOAT * _WIDEST * math.prod(shape)
    if needed <= limit:
        needed = max(needed, _weights(make))
    if needed > limit:
        raise RefusedInputError(
            f"expected a network that takes at most {limit / 1e9:.1f} GB, as its file lets expect, got one that takes "
            f"{needed / 1e9:.1f} GB: {path}; the environment variable {MEMORY} allows more, in bytes"
        )


def _weights(make: Callable[[], nn.Module]) -> int:
    try:
        with torch.device("meta"):
            network = make()
    except NotImplementedError:
        # few of other libraries' constructors look at numbers that are not there
        return 0
    return sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))
