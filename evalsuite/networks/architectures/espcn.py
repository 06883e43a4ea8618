"""Super-resolution by sub-pixel convolution (Shi et al. 2016, arXiv:1609.05158)."""

from dataclasses import dataclass
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.networks.architectures._base import Architecture


@final
@dataclass(frozen=True, kw_only=True)
class Espcn(Architecture):
    """Three convolutions at the small size (5, 3 and 3 pixels), whose channels become pixels at the end.

    Section 3.1, with ReLU for tanh; what is learnt is the difference to bicubic interpolation, which stands beside
    (Kim et al. 2016, arXiv:1511.04587): short training starts from a sensible image.

    Attributes:
        factor: How many times as many pixels a side gets, at least 2.
        width: Filters of the first convolution, at least 2; the second has half as many.
    """

    factor: int = 2
    width: int = 64

    def __post_init__(self) -> None:
        if self.factor < 2 or self.width < 2:
            raise ValueError(f"expected factor >= 2 and width >= 2, got {self.factor} and {self.width}")

    @override
    def __call__(self, *, classes: int, channels: int, image_size: int) -> nn.Module:
        del image_size
        return _Espcn(self, classes, channels)


@final
class _Espcn(nn.Module):
    def __init__(self, design: Espcn, outputs: int, channels: int) -> None:
        nn.Module.__init__(self)
        self.factor = design.factor
        self.conv1 = nn.Conv2d(channels, design.width, 5, padding=2)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(design.width, design.width // 2, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(design.width // 2, outputs * design.factor**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(design.factor)

    @override
    def forward(self, images: Tensor) -> Tensor:
        x = self.relu2(self.conv2(self.relu1(self.conv1(images))))
        wide = F.interpolate(images, scale_factor=self.factor, mode="bicubic", align_corners=False)
        larger: Tensor = wide + self.shuffle(self.conv3(x))
        return larger
