"""Hue, saturation and value in scikit-image's convention, float64, one rounding after the other as there."""

import torch
from torch import Tensor


def to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue in [0, 1), saturation and value in [0, 1], each (n, h, w), of float64 images (n, 3, h, w) (Smith 1978)."""
    red, green, blue = images.unbind(1)
    value = images.amax(1)
    delta = value - images.amin(1)
    # any divisor will do where delta is 0: hue and saturation are 0 there
    flat = delta == 0
    safe = torch.where(flat, 1.0, delta)
    hue = torch.where(red == value, (green - blue) / safe, 0.0)
    hue = torch.where(green == value, 2.0 + (blue - red) / safe, hue)
    hue = torch.where(blue == value, 4.0 + (red - green) / safe, hue)
    hue = torch.where(flat, 0.0, torch.remainder(hue / 6.0, 1.0))
    saturation = torch.where(flat, 0.0, delta / torch.where(value == 0, 1.0, value))
    return hue, saturation, value


def to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """The inverse of `to_hsv`: (n, 3, h, w)."""
    sector = torch.floor(hue * 6)
    share = hue * 6 - sector
    low = value * (1 - saturation)
    falling = value * (1 - share * saturation)
    rising = value * (1 - (1 - share) * saturation)
    sector = sector.long() % 6

    def channel(*by_sector: Tensor) -> Tensor:
        return torch.stack(by_sector).gather(0, sector[None])[0]

    red = channel(value, falling, low, low, rising, value)
    green = channel(rising, value, value, falling, low, low)
    blue = channel(low, low, rising, value, value, falling)
    return torch.stack((red, green, blue), dim=1)
