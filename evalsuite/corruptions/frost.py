"""Frost: the image behind a frosted pane."""

from dataclasses import dataclass, field
from typing import ClassVar, Final, final

import torch
from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants, length_scale, table_side
from evalsuite.corruptions._frost_texture import Texture, available_texture, textures
from evalsuite.corruptions._levels import from_levels, gray, levels, raise_refusal, size
from evalsuite.errors import UsageError
from evalsuite.randomness import fold, integers, uniform

_LARGE: Final = ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))
_IMAGE_AND_FROST: Final[Table[tuple[float, float]]] = {
    32: ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    64: ((1.0, 0.3), (0.9, 0.4), (0.8, 0.45), (0.75, 0.5), (0.7, 0.55)),
    224: _LARGE,
    299: _LARGE,
}
_TEXTURE_SCALE: Final = {32: 0.2, 64: 0.3, 224: 1.0, 299: 1.0}


@final
@dataclass(frozen=True, kw_only=True)
class Frost(Corruption):
    """A random crop of one of five pictures of frost, added (Hendrycks and Dietterich 2019, section 3).

    Attributes:
        severity: 1 to 5; weights of image and frost are (1, 0.2) to (0.75, 0.45) at 32 px and (1, 0.4) to (0.6, 0.75)
            at 224 px.
        texture: "published" are the pictures of the published sets, read from the installed package
            imagecorruptions-imaug; "procedural" are drawn here and make the result ours alone. The default is what
            is installed when the part is made, so that it stands in the task's name from then on.
    """

    group: ClassVar[str] = "weather"
    severity: int
    texture: Texture = field(default_factory=available_texture)

    def __post_init__(self) -> None:
        check_severity(self.severity)
        if self.texture not in {"published", "procedural"}:
            raise UsageError(f"expected texture 'published' or 'procedural', got {self.texture!r}")

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        raise_refusal(self.unsupported_reason((images.shape[1], images.shape[2], images.shape[3])))
        image_weight, frost_weight = constants(_IMAGE_AND_FROST, self.severity, images.shape)
        pictures, sizes = textures(self.texture, _scale(images.shape))
        crop = _crop(pictures.to(images.device), sizes, keys.to(images.device), images.shape[2], images.shape[3])
        pane = crop if images.shape[1] == 3 else gray(crop)
        return from_levels(image_weight * levels(images) + frost_weight * pane)

    @override
    def unsupported_reason(self, shape: tuple[int, int, int]) -> str | None:
        _, sizes = textures(self.texture, _scale(shape))
        height, width = min(h for h, _ in sizes), min(w for _, w in sizes)
        if shape[1] < height and shape[2] < width:
            return None
        return f"expected images smaller than the frost ({height}x{width} at this scale), got {size(shape)}"


def _scale(shape: tuple[int, ...]) -> float:
    return _TEXTURE_SCALE[table_side(shape)] * length_scale(shape)


def _crop(pictures: Tensor, sizes: tuple[tuple[int, int], ...], keys: Tensor, height: int, width: int) -> Tensor:
    """One random crop per key, (n, 3, height, width), float64 in 0, ..., 255."""
    number = integers(fold(keys, 0), 0, len(sizes))
    room = torch.tensor(sizes, device=keys.device) - torch.tensor([height, width], device=keys.device)
    corner = (uniform(fold(keys, 1), (2,), dtype=torch.float64) * room[number]).long()
    windows = pictures.unfold(2, height, 1).unfold(3, width, 1)
    return windows[number, :, corner[:, 0], corner[:, 1]].double()
