"""JPEG compression: blocks and ringing."""

from dataclasses import dataclass
from io import BytesIO
from typing import ClassVar, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants
from evalsuite.corruptions._levels import from_levels, levels

_QUALITY: Final[Table[int]] = {
    32: (80, 65, 58, 50, 40),
    64: (65, 58, 50, 40, 25),
    224: (25, 18, 15, 10, 7),
    299: (23, 16, 13, 8, 5),
}


@final
@dataclass(frozen=True, kw_only=True)
class JpegCompression(Corruption):
    """Saved as baseline JPEG with halved chroma (4:2:0, Pillow's default) and read again (section 3).

    Attributes:
        severity: 1 to 5; the quality is 80 down to 40 at 32 px and 25 down to 7 at 224 px.
    """

    group: ClassVar[str] = "digital"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        quality = constants(_QUALITY, self.severity, images.shape)
        pixels = levels(images).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        decoded = np.empty_like(pixels)
        # the format codes one picture after the other: the only loop over images among the corruptions but one
        for number, picture in enumerate(pixels):
            decoded[number] = _recode(picture, quality)
        return from_levels(torch.from_numpy(decoded).to(images.device).permute(0, 3, 1, 2))


def _recode(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    with BytesIO() as file:
        Image.fromarray(picture.squeeze(2) if picture.shape[2] == 1 else picture).save(file, "JPEG", quality=quality)
        with Image.open(file, formats=("JPEG",)) as image:
            return np.asarray(image).reshape(picture.shape)
