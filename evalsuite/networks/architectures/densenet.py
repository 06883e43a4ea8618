"""DenseNet-BC for small images (Huang et al. 2017, arXiv:1608.06993)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.errors import UsageError
from evalsuite.networks.architectures._base import Architecture
from evalsuite.networks.architectures._initialisation import he


@final
@dataclass(frozen=True, kw_only=True)
class DenseNet(Architecture):
    """Three dense blocks of (depth - 4) / 6 bottleneck layers, halved by transitions; no dropout.

    71 686 parameters at depth 22, growth 12 with 10 classes.

    Attributes:
        depth: 6 n + 4, with n layers a block.
        growth: Channels that a layer adds (k), at least 1; bottlenecks have 4 k, the first convolution 2 k.
        compression: Share of channels that a transition keeps (theta), in (0, 1].
    """

    depth: int = 22
    growth: int = 12
    compression: float = 0.5

    def __post_init__(self) -> None:
        if self.depth < 10 or self.depth % 6 != 4:
            raise ValueError(f"expected depth = 6 n + 4 with n >= 1, got {self.depth}")
        if self.growth < 1:
            raise ValueError(f"expected growth >= 1, got {self.growth}")
        if not 0 < self.compression <= 1:
            raise ValueError(f"expected 0 < compression <= 1, got {self.compression}")

    @override
    def __call__(self, *, classes: int, channels: int, image_size: int) -> nn.Module:
        if image_size < 4:
            raise UsageError(f"expected images of at least 4 px for a DenseNet, got {image_size} px")
        return he(_DenseNet(self, classes, channels))


@final
class _DenseNet(nn.Module):
    def __init__(self, design: DenseNet, classes: int, channels: int) -> None:
        nn.Module.__init__(self)
        layers, grown = (design.depth - 4) // 6, (design.depth - 4) // 6 * design.growth
        width = 2 * design.growth
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.dense1 = _block(width, design.growth, layers)
        self.trans1 = _Transition(width + grown, design.compression)
        width = int((width + grown) * design.compression)
        self.dense2 = _block(width, design.growth, layers)
        self.trans2 = _Transition(width + grown, design.compression)
        width = int((width + grown) * design.compression)
        self.dense3 = _block(width, design.growth, layers)
        self.bn = nn.BatchNorm2d(width + grown)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(width + grown, classes)

    @override
    def forward(self, images: Tensor) -> Tensor:
        x = self.trans1(self.dense1(self.conv1(images)))
        x = self.dense3(self.trans2(self.dense2(x)))
        logits: Tensor = self.fc(self.flatten(self.pool(self.relu(self.bn(x)))))
        return logits


def _block(inputs: int, growth: int, layers: int) -> nn.Sequential:
    return nn.Sequential(*(_Layer(inputs + i * growth, growth) for i in range(layers)))


@final
class _Layer(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        nn.Module.__init__(self)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    @override
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.relu2(self.bn2(self.conv1(self.relu1(self.bn1(x))))))
        return torch.cat((x, y), 1)


@final
class _Transition(nn.Module):
    def __init__(self, inputs: int, compression: float) -> None:
        nn.Module.__init__(self)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, int(inputs * compression), 1, bias=False)
        self.pool = nn.AvgPool2d(2)

    @override
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pool(self.conv1(self.relu(self.bn1(x))))
        return y
