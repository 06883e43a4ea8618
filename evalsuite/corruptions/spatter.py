"""Spatter: drops of water or mud on the lens."""

from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple, final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants, length_scale
from evalsuite.corruptions._gaussian import blur
from evalsuite.corruptions._levels import LUMA, levels, raise_refusal, size, truncated
from evalsuite.randomness import normal


class _Water(NamedTuple):
    mean: float
    deviation: float
    sigma: float
    threshold: float
    strength: float


class _Mud(NamedTuple):
    mean: float
    deviation: float
    sigma: float
    threshold: float
    edge: float


_LIQUID: Final[Table[_Water | _Mud]] = {
    32: (
        _Water(0.62, 0.1, 0.7, 0.7, 0.5),
        _Water(0.65, 0.1, 0.8, 0.7, 0.5),
        _Water(0.65, 0.3, 1.0, 0.69, 0.5),
        _Mud(0.65, 0.1, 0.7, 0.69, 0.6),
        _Mud(0.65, 0.1, 0.5, 0.68, 0.6),
    ),
    64: (
        _Water(0.62, 0.1, 0.7, 0.7, 0.6),
        _Water(0.65, 0.1, 0.8, 0.7, 0.6),
        _Water(0.65, 0.3, 1.0, 0.69, 0.6),
        _Mud(0.65, 0.1, 0.7, 0.68, 0.6),
        _Mud(0.65, 0.1, 0.5, 0.67, 0.6),
    ),
    224: (
        _Water(0.65, 0.3, 4.0, 0.69, 0.6),
        _Water(0.65, 0.3, 3.0, 0.68, 0.6),
        _Water(0.65, 0.3, 2.0, 0.68, 0.5),
        _Mud(0.65, 0.3, 1.0, 0.65, 1.5),
        _Mud(0.67, 0.4, 1.0, 0.65, 1.5),
    ),
    299: (
        _Water(0.65, 0.3, 4.0, 0.69, 0.9),
        _Water(0.65, 0.3, 3.5, 0.68, 0.9),
        _Water(0.65, 0.3, 3.0, 0.68, 0.8),
        _Mud(0.65, 0.3, 1.2, 0.65, 1.8),
        _Mud(0.67, 0.4, 1.2, 0.65, 1.8),
    ),
}
_WATER_COLOUR: Final = (175, 238, 238)
_MUD_COLOUR: Final = (63, 42, 20)
_EMBOSS: Final = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])


@final
@dataclass(frozen=True, kw_only=True)
class Spatter(Corruption):
    """Smoothed noise above a threshold is liquid (Hendrycks and Dietterich 2019, appendix B: validation corruptions).

    On gray images the liquid has the luminance of its colour.

    Attributes:
        severity: 1 to 5; 1 to 3 are water, which adds light, 4 and 5 mud, which covers.
    """

    group: ClassVar[str] = "extra"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        raise_refusal(self.unsupported_reason((images.shape[1], images.shape[2], images.shape[3])))
        liquid, scale = constants(_LIQUID, self.severity, images.shape), length_scale(images.shape)
        noise = normal(keys.to(images.device), (1, images.shape[2], images.shape[3]))
        layer = blur(noise.double() * liquid.deviation + liquid.mean, liquid.sigma * scale)
        layer.masked_fill_(layer < liquid.threshold, 0.0)
        # the published generator mixes in float32
        values = levels(images).div_(255).float()
        if isinstance(liquid, _Water):
            return truncated(values + _water(layer, liquid.strength) * _colour(_WATER_COLOUR, values))
        mask = blur((layer > liquid.threshold).float(), liquid.edge * scale)
        mask.masked_fill_(mask < 0.8, 0.0)
        return truncated(values * (1 - mask) + mask * _colour(_MUD_COLOUR, values))

    @override
    def unsupported_reason(self, shape: tuple[int, int, int]) -> str | None:
        return None if min(shape[1:]) >= 8 else f"expected images of at least 8x8, got {size(shape)}"


def _colour(rgb: tuple[int, int, int], like: Tensor) -> Tensor:
    """The colour, or its luminance for gray images, (1, c, 1, 1), in the type of `like`."""
    red, green, blue = rgb
    tone = rgb if like.shape[1] == 3 else (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue,)
    return like.new_tensor(tone).div_(255).view(1, -1, 1, 1)


def _water(layer: Tensor, strength: float) -> Tensor:
    """How much water lies where, (n, 1, h, w), float32 in [0, strength]; zero everywhere if there is none.

    The published cast to 8 bit wraps round where a layer exceeds 1 (about one pixel in 50 images at severity 3 of
    32 px); here it is clipped.
    """
    wet = layer.clamp(0, 1).mul(255).to(torch.uint8).cpu().numpy()
    film = np.empty(wet.shape, np.float32)
    # these operators exist for one image at a time on the CPU; they see random fields only, never an example
    for number, picture in enumerate(wet[:, 0]):
        film[number, 0] = picture * _relief(picture)
    amount = torch.from_numpy(film).to(layer.device)
    most = amount.amax((2, 3), keepdim=True)
    return amount / torch.where(most == 0, 1.0, most) * strength


def _relief(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Light and shade along the edges of the liquid: the published chain of OpenCV operators."""
    distance = cv2.distanceTransform(255 - cv2.Canny(picture, 50, 150), cv2.DIST_L2, 5)
    near = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    embossed = cv2.filter2D(cv2.equalizeHist(near), cv2.CV_8U, _EMBOSS)
    return cv2.blur(embossed, (3, 3)).astype(np.float32)
