"""Images that belong to no class, drawn for an example and from nothing else than its key."""

from typing import Literal, get_args

import torch
from torch import Tensor

from evalsuite.randomness import uniform

Kind = Literal["noise", "shuffled", "blobs"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_TILES = 4
_BLUR = 1.5 / 32
_CUT = 0.75


def outliers(kind: Kind, images: Tensor, keys: Tensor) -> Tensor:
    """One outlier for each of `images` (n, c, h, w) in [0, 1], of the same shape and range, drawn from its own key."""
    match kind:
        case "noise":
            return uniform(keys, images.shape[1:])
        case "shuffled":
            return _shuffled(images, keys)
        case "blobs":
            return _blobs(images.shape[1:], keys)


def _shuffled(images: Tensor, keys: Tensor) -> Tensor:
    """The example's own pixels, its 4 × 4 tiles in another order; what does not fill a tile stays at the edge."""
    n, c, h, w = images.shape
    rows, columns = (max(1, min(_TILES, side)) for side in (h, w))
    height, width = h // rows, w // columns
    inner = images[:, :, : rows * height, : columns * width]
    tiles = inner.reshape(n, c, rows, height, columns, width).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    order = uniform(keys, (rows * columns,), dtype=torch.float64).argsort(1)
    moved = tiles[torch.arange(n, device=images.device)[:, None], order]
    shuffled = images.clone()
    shuffled[:, :, : rows * height, : columns * width] = (
        moved.unflatten(1, (rows, columns)).permute(0, 3, 1, 4, 2, 5).reshape(inner.shape)
    )
    return shuffled


def _blobs(shape: torch.Size, keys: Tensor) -> Tensor:
    """Blobs with soft shapes and hard edges: noise that is 1 with probability 0.7, blurred, below 0.75 set to 0.

    The "blob" of Hendrycks, Mazeika and Dietterich 2019 (arXiv:1812.04606). As in their code the blur goes over the
    channels as well; its 1.5 pixels at a side of 32 grow with the image.
    """
    c, h, w = shape
    drawn = (uniform(keys, (c, h, w)) < 0.7).float()
    for axis, sigma in ((1, _BLUR * 32), (2, _BLUR * h), (3, _BLUR * w)):
        drawn = _blurred(drawn, sigma, axis)
    return torch.where(drawn < _CUT, 0.0, drawn).clamp(0, 1)


def _blurred(images: Tensor, sigma: float, axis: int) -> Tensor:
    """A Gaussian along one axis, cut at four standard deviations; beyond its edge an image stays as it is there."""
    reach = int(4 * sigma + 0.5)
    taps = torch.arange(-reach, reach + 1, device=images.device, dtype=torch.float32)
    kernel = torch.exp(-(taps**2) / (2 * sigma**2))
    side = images.shape[axis]
    index = torch.arange(-reach, side + reach, device=images.device).clamp(0, side - 1)
    padded = images.index_select(axis, index)
    # tap by tap: a matrix product rounds an image in another way in another batch
    blurred = torch.zeros_like(images)
    for k, tap in enumerate((kernel / kernel.sum()).tolist()):
        blurred += tap * padded.narrow(axis, k, side)
    return blurred
