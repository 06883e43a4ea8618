"""Wide residual networks (Zagoruyko and Komodakis 2016, arXiv:1605.07146)."""

from dataclasses import dataclass
from typing import final

from torch import Tensor, nn
from typing_extensions import override

from evalsuite.networks.architectures._base import Architecture
from evalsuite.networks.architectures._initialisation import he


@final
@dataclass(frozen=True, kw_only=True)
class WideResNet(Architecture):
    """WRN-depth-width: three stages of pre-activation blocks with 16, 32 and 64 times `width` channels.

    No dropout. Where the shape changes, the shortcut is a 1 x 1 convolution of the activated input (section 2 of the
    authors' code; the paper draws it only in table 1). 10 961 370 parameters at 16, 8 with 10 classes.

    Attributes:
        depth: 6 n + 4, with n blocks a stage.
        width: Widening factor k, at least 1.
    """

    depth: int = 16
    width: int = 8

    def __post_init__(self) -> None:
        if self.depth < 10 or self.depth % 6 != 4:
            raise ValueError(f"expected depth = 6 n + 4 with n >= 1, got {self.depth}")
        if self.width < 1:
            raise ValueError(f"expected width >= 1, got {self.width}")

    @override
    def __call__(self, *, classes: int, channels: int, image_size: int) -> nn.Module:
        return he(_WideResNet(self, classes, channels))


@final
class _WideResNet(nn.Module):
    def __init__(self, design: WideResNet, classes: int, channels: int) -> None:
        nn.Module.__init__(self)
        blocks, width = (design.depth - 4) // 6, 16 * design.width
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.block1 = _stage(16, width, blocks, stride=1)
        self.block2 = _stage(width, 2 * width, blocks, stride=2)
        self.block3 = _stage(2 * width, 4 * width, blocks, stride=2)
        self.bn1 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(4 * width, classes)

    @override
    def forward(self, images: Tensor) -> Tensor:
        x = self.block3(self.block2(self.block1(self.conv1(images))))
        logits: Tensor = self.fc(self.flatten(self.pool(self.relu(self.bn1(x)))))
        return logits


def _stage(inputs: int, outputs: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = _Block(inputs, outputs, stride)
    return nn.Sequential(first, *(_Block(outputs, outputs, 1) for _ in range(blocks - 1)))


@final
class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        nn.Module.__init__(self)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        changes = inputs != outputs
        self.downsample = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if changes else None

    @override
    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu1(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(activated)
        y: Tensor = self.conv2(self.relu2(self.bn2(self.conv1(activated))))
        return y + shortcut
