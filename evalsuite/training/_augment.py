"""Augments a whole batch at once by tensor operations: shifts, mirrors, crops."""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def shift_and_flip(images: Tensor, generator: Generator, *, pixels: int, flip: bool) -> Tensor:
    """Pad by `pixels` black ones, cut out the old size at a random place, mirror half of the images where `flip`.

    The augmentation of He et al. 2016, section 4.2. Images (n, c, h, w); the result lies in memory channels last.
    """
    n, _, height, width = images.shape
    offsets = torch.randint(0, 2 * pixels + 1, (2, n, 1), generator=generator)
    rows = offsets[0] + torch.arange(height)
    columns = torch.arange(width).expand(n, width)
    if flip:
        mirrored = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    columns = columns + offsets[1]
    rows, columns = rows.to(images.device), columns.to(images.device)
    padded = F.pad(images, [pixels] * 4).permute(0, 2, 3, 1)
    which = torch.arange(n, device=images.device)[:, None, None]
    return padded[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def flip_together(images: Tensor, truths: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Mirror half of the images, and with each the right answer whose pixels stand where its own stand.

    Images (n, c, h, w); truths (n, ..., width), of any height and width.
    """
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    images, truths = (
        torch.where(mirrored.to(values.device).reshape(-1, *[1] * (values.ndim - 1)), values.flip(-1), values)
        for values in (images, truths)
    )
    return images, truths


def resized_crop_and_flip(images: Tensor, generator: Generator, *, flip: bool) -> Tensor:
    """A random box resized to the whole image, by bilinear interpolation; half of the images mirrored where `flip`.

    Boxes have 8 to 100 % of the area and an aspect of 3/4 to 4/3, both before they are clipped to the image: the
    augmentation of Szegedy et al. 2015, section 6. Images (n, c, h, w).
    """
    area, aspect, down, right, mirrored = torch.rand(5, len(images), generator=generator)
    ratio = torch.exp((2 * aspect - 1) * math.log(4 / 3))
    share = 0.08 + 0.92 * area
    width, height = (share * ratio).sqrt().clamp(max=1), (share / ratio).sqrt().clamp(max=1)
    box = torch.zeros(len(images), 2, 3)
    box[:, 0, 0] = torch.where((mirrored < 0.5) & flip, -width, width)
    box[:, 1, 1] = height
    box[:, 0, 2] = (2 * right - 1) * (1 - width)
    box[:, 1, 2] = (2 * down - 1) * (1 - height)
    grid = F.affine_grid(box.to(images.device), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False).clamp(0, 1)
