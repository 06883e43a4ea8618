"""VGG with batch norm for small images (Simonyan and Zisserman 2015, arXiv:1409.1556, configurations A, B, D, E)."""

from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor, nn
from typing_extensions import override

from evalsuite.networks.architectures._base import Architecture
from evalsuite.networks.architectures._initialisation import he

_CONVOLUTIONS: dict[int, tuple[int, int, int, int, int]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_GROWTH = (1, 2, 4, 8, 8)


@final
@dataclass(frozen=True, kw_only=True)
class VGG(Architecture):
    """Five stages of 3 x 3 convolutions (with bias) and batch norm, pooled in between, then one linear layer.

    The small-image form: no dropout, no hidden linear layers; 14 728 266 parameters at depth 16 with 10 classes.
    Layers are numbered as in torchvision's `vgg16_bn().features`. A pooling that would leave no pixel is left out (at
    28 px the last one), so that any image size works; what is left is averaged.

    Attributes:
        depth: 11, 13, 16 or 19: layers with weights, had it the original three linear layers.
        width: Filters of the first stage, at least 1; the others have 2, 4, 8 and 8 times as many.
    """

    depth: Literal[11, 13, 16, 19] = 16
    width: int = 64

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"expected width >= 1, got {self.width}")

    @override
    def __call__(self, *, classes: int, channels: int, image_size: int) -> nn.Module:
        return he(_VGG(self, classes, channels, image_size))


@final
class _VGG(nn.Module):
    def __init__(self, design: VGG, classes: int, channels: int, image_size: int) -> None:
        nn.Module.__init__(self)
        layers: list[nn.Module] = []
        inputs, side = channels, image_size
        for convolutions, growth in zip(_CONVOLUTIONS[design.depth], _GROWTH, strict=True):
            filters = growth * design.width
            for _ in range(convolutions):
                layers += [nn.Conv2d(inputs, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU()]
                inputs = filters
            # a placeholder, so that layers bear the same numbers at every image size
            layers.append(nn.MaxPool2d(2) if side > 1 else nn.Identity())
            side = max(side // 2, 1)
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(_GROWTH[-1] * design.width, classes)

    @override
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.flatten(self.pool(self.features(images))))
        return logits
