"""Small networks, one for each kind of step, with weights and statistics as training might have left them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHAPE = (2, 6, 6)
CLASSES = 4


def scrambled(network: nn.Module, seed: int = 0) -> nn.Module:
    """In float64: sampled outputs can then be compared with bounds without a tolerance for rounding."""
    generator = torch.Generator().manual_seed(seed)
    network = network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / fan_in**0.5)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator) / 2)
            if name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return network.eval()


class Normalize(nn.Module):
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5, 0.4]))
        self.register_buffer("std", torch.tensor([0.2, 0.3]))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean[:, None, None]) / self.std[:, None, None]


class Block(nn.Module):
    """The shortcut is the input, or every other pixel padded with zero channels."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.extra = after - before
        stride = 2 if self.extra else 1
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        if self.extra:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, self.extra - 1))
        y += x
        return F.relu(y)


def residual() -> nn.Module:
    return nn.Sequential(
        Normalize(),
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(),
        Block(4, 4),
        Block(4, 6),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, CLASSES),
    )


def pooled() -> nn.Module:
    """Overlapping and padded max pooling behind ReLU, disjoint before ReLU, all kinds of average."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=1, padding=1),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.AvgPool2d(2, stride=1, padding=1, count_include_pad=False),
        nn.ZeroPad2d((0, 1, 0, 1)),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(4, CLASSES),
    )


class Dense(nn.Module):
    """Joined activations; means, views and methods in place of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.more = nn.Conv2d(4, 3, 3, padding=1)
        self.hidden = nn.Linear(28, 8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(2 * x - 1)
        x = torch.cat([x, self.more(self.bn(x).relu())], dim=1)
        x = F.avg_pool2d(x, 2).view(x.size(0), -1)
        y = F.dropout(self.hidden(x), training=self.training)
        return self.head(-torch.relu(y) + y / 3)


def grouped() -> nn.Module:
    """Groups, strides that leave a rest, rectangular kernels."""
    return nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), stride=(2, 3), groups=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 2, padding=1, groups=4, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, 6),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(6, CLASSES),
    )


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(72, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, CLASSES))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "residual": residual,
    "pooled": pooled,
    "dense": Dense,
    "grouped": grouped,
    "perceptron": perceptron,
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    return scrambled(NETWORKS[request.param]())


@pytest.fixture
def build() -> Callable[[str, int], nn.Module]:
    """A network by name and seed."""
    return lambda name, seed: scrambled(NETWORKS[name](), seed)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
