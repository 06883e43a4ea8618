"""Thumbnails: images side by side, as one small picture for the report."""

import io
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from evalsuite.data import Examples
from evalsuite.records.schema import Results
from evalsuite.report.page import EXEMPLARS

_EXEMPLARS_SHOWN: Final = 8


def contact_sheet(images: Tensor, side: int = 64) -> bytes:
    """Images (k, c, h, w) in [0, 1] side by side as one PNG, each enlarged or reduced to `side` pixels high."""
    pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    if pixels.shape[1] not in {1, 3}:
        pixels = pixels[:, :1]
    rows = pixels.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()
    height, width = rows.shape[1:3]
    size = (max(1, round(width * side / height)), side)
    method = Image.Resampling.NEAREST if height < side else Image.Resampling.BOX
    tiles = [np.asarray(Image.fromarray(row).resize(size, method)) for row in rows]
    gap = np.full((side, 2, 3), 255, np.uint8)
    joined = np.concatenate([piece for tile in tiles for piece in (tile, gap)][:-1], axis=1)
    buffer = io.BytesIO()
    Image.fromarray(joined).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def has_pixels(images: Tensor) -> bool:
    """Whether there is something to look at: rows of a table are images of one pixel."""
    return max(images.shape[2:]) > 1


def exemplar_pictures(results: Results, examples: Examples) -> dict[str, bytes]:
    """The first exemplars of every population on clean data."""
    return {
        f"{EXEMPLARS}{row.population}": contact_sheet(examples.pixels(row.positions[:_EXEMPLARS_SHOWN]))
        for row in results.exemplars
        if row.task == "clean" and row.positions
    }
