"""Residual networks for small images (He et al. 2016, arXiv:1512.03385, section 4.2)."""

from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from evalsuite.networks.architectures._base import Architecture
from evalsuite.networks.architectures._initialisation import he


@final
@dataclass(frozen=True, kw_only=True)
class ResNet(Architecture):
    """Three stages of basic blocks with `width`, 2 `width` and 4 `width` channels; depth = 6 n + 2, n blocks a stage.

    Basic blocks at every depth, as in the paper: 0.27 M parameters at depth 20, 0.85 M at 56, 1.7 M at 110. The
    networks called ResNet56 and ResNet110 in Lost in Pruning are others (torchprune takes bottleneck blocks, 9 and 18
    a stage: 869 530 and 1 704 154 parameters). Layers are named as in torchvision.

    Attributes:
        depth: Layers with weights, shortcuts not counted; 8, 14, 20, ...
        width: Channels of the first stage, at least 1.
        shortcut: Where the shape changes: "projection" is a 1 x 1 convolution with batch norm (option B; Lost in
            Pruning's ResNet20), "padding" takes every other pixel and pads with zero channels, half before and half
            behind (option A; the paper's choice for CIFAR). Channel pruning needs projections.
    """

    depth: int = 20
    width: int = 16
    shortcut: Literal["projection", "padding"] = "projection"

    def __post_init__(self) -> None:
        if self.depth < 8 or self.depth % 6 != 2:
            raise ValueError(f"expected depth = 6 n + 2 with n >= 1, got {self.depth}")
        if self.width < 1:
            raise ValueError(f"expected width >= 1, got {self.width}")

    @override
    def __call__(self, *, classes: int, channels: int, image_size: int) -> nn.Module:
        return he(_ResNet(self, classes, channels))


@final
class _ResNet(nn.Module):
    def __init__(self, design: ResNet, classes: int, channels: int) -> None:
        nn.Module.__init__(self)
        width = design.width
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.layer1 = _stage(design, width, width, stride=1)
        self.layer2 = _stage(design, width, 2 * width, stride=2)
        self.layer3 = _stage(design, 2 * width, 4 * width, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(4 * width, classes)

    @override
    def forward(self, images: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(self.flatten(self.pool(x)))
        return logits


def _stage(design: ResNet, inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    blocks = [_BasicBlock(inputs, outputs, stride, design.shortcut)]
    rest = (design.depth - 2) // 6 - 1
    blocks += [_BasicBlock(outputs, outputs, 1, design.shortcut) for _ in range(rest)]
    return nn.Sequential(*blocks)


@final
class _BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Literal["projection", "padding"]) -> None:
        nn.Module.__init__(self)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 and shortcut == "projection":
            convolution = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(outputs))
        elif stride != 1:
            self.downsample = _Padding(stride, outputs - inputs)

    @override
    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        out: Tensor = self.relu2(y + self.downsample(x))
        return out


@final
class _Padding(nn.Module):
    """The parameter-free shortcut: every `stride`-th pixel, and `extra` zero channels."""

    def __init__(self, stride: int, extra: int) -> None:
        nn.Module.__init__(self)
        self.stride = stride
        self.extra = extra

    @override
    def forward(self, x: Tensor) -> Tensor:
        before = self.extra // 2
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.extra - before))
