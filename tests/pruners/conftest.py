"""Small networks with one kind of coupling each, with weights and statistics as training might have left them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHAPE = (3, 8, 8)


def scramble(network: nn.Module, seed: int = 0) -> nn.Module:
    """Healthy random weights and statistics: a network at its initial state would hide errors in BN and biases."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator) / 2)
            if name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return network.eval()


class Normalize(nn.Module):
    """As built into the judge's networks: pixels in [0, 1] are centred and scaled first."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2, 0.25, 0.3]).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class Block(nn.Module):
    """Two convolutions and a shortcut: identity, 1x1 projection, or subsampled and padded with zero channels."""

    def __init__(self, before: int, after: int, shortcut: str) -> None:
        super().__init__()
        stride = 1 if shortcut == "identity" else 2
        self.pad = (after - before) // 2 if shortcut == "padding" else 0
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if shortcut == "projection":
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.pad:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + self.shortcut(x))


def resnet(shortcut: str) -> nn.Module:
    return nn.Sequential(
        Normalize(),
        nn.Conv2d(3, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        Block(6, 6, "identity"),
        Block(6, 10, shortcut),
        Block(10, 10, "identity"),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(10, 4),
    )


def chain() -> nn.Module:
    return nn.Sequential(
        Normalize(),
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 4),
    )


def vgg() -> nn.Module:
    """Flattens 5 channels of 4 x 4 positions into a linear layer."""
    return nn.Sequential(
        Normalize(),
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 3, padding=1),
        nn.PReLU(5),
        nn.Flatten(),
        nn.Linear(80, 9),
        nn.BatchNorm1d(9),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(9, 4),
    )


class Dense(nn.Module):
    """Layers that read everything before them, and a transition."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.bns = nn.ModuleList(nn.BatchNorm2d(6 + 4 * i) for i in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(6 + 4 * i, 4, 3, padding=1, bias=False) for i in range(3))
        self.bn = nn.BatchNorm2d(18)
        self.transition = nn.Conv2d(18, 7, 1)
        self.head = nn.Linear(7, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for bn, conv in zip(self.bns, self.convs, strict=True):
            x = torch.cat([x, conv(F.relu(bn(x)))], dim=1)
        x = F.avg_pool2d(self.transition(F.relu(self.bn(x))), 2)
        return self.head(x.mean((2, 3)))


class SqueezeExcite(nn.Module):
    """Channels scaled by a gate computed from their means."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(width, 3, 1)
        self.up = nn.Conv2d(3, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.silu(self.down(x.mean((2, 3), keepdim=True)))))


def mobile() -> nn.Module:
    """A depthwise convolution between two pointwise ones, with squeeze and excitation."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU6(),
        nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False),
        nn.BatchNorm2d(6),
        nn.Hardswish(),
        SqueezeExcite(6),
        nn.Conv2d(6, 5, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 4),
    )


def grouped() -> nn.Module:
    """A convolution in two groups, as in ResNeXt."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, padding=1, groups=2),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 5, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 4),
    )


def decoder() -> nn.Module:
    """Transposed convolutions, plain and grouped, ending in a picture."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 2, stride=2),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 8, 2, stride=2, groups=2),
        nn.InstanceNorm2d(8, affine=True),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 5, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(5, 1, 1),
    )


class Encoder(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 10)
        self.fc2 = nn.Linear(10, width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Transformer(nn.Module):
    """A small vision transformer with a class token and learnt positions."""

    def __init__(self) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.positions = nn.Parameter(torch.zeros(1, 5, 8))
        self.layers = nn.Sequential(Encoder(8), Encoder(8))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(self.normalize(x)).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.positions
        return self.head(self.norm(self.layers(x))[:, 0])


class Mixed(nn.Module):
    """A sum of one convolution with the concatenation of two others, and a gated product of halves further on."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 4, 3, padding=1)
        self.right = nn.Conv2d(3, 6, 3, padding=1)
        self.both = nn.Conv2d(3, 10, 1)
        self.last = nn.Conv2d(10, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([self.left(x), self.right(x)], dim=1) + self.both(x)
        return self.last(F.leaky_relu(y)).mean((2, 3))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "chain": chain,
    "projection": lambda: resnet("projection"),
    "padding": lambda: resnet("padding"),
    "vgg": vgg,
    "dense": Dense,
    "mobile": mobile,
    "grouped": grouped,
    "decoder": decoder,
    "transformer": Transformer,
    "mixed": Mixed,
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    """Each kind of coupling in turn."""
    return scramble(NETWORKS[request.param]())


@pytest.fixture
def build() -> Callable[[str], nn.Module]:
    """A network by the name of its coupling."""
    return lambda name: scramble(NETWORKS[name]())


@pytest.fixture
def images() -> Tensor:
    """Four pictures in [0, 1]."""
    return torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(9))
