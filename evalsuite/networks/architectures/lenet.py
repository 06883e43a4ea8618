"""LeNet-5 (LeCun et al. 1998), with ReLU and max pooling."""

from dataclasses import dataclass
from typing import final

from torch import Tensor, nn
from typing_extensions import override

from evalsuite.errors import UsageError
from evalsuite.networks.architectures._base import Architecture


@final
@dataclass(frozen=True, kw_only=True)
class LeNet(Architecture):
    """Two 5 x 5 convolutions (6 and 16 filters), then 120, 84 and `classes` units; 61 706 parameters on 28 px gray.

    As used today: ReLU for tanh, max pooling for trainable subsampling, full connections in the second convolution,
    a linear layer for the radial basis functions. LeCun's input of 32 px is taken as it is; smaller images are padded
    by 2 pixels in the first convolution (28 px: as if bordered to 32), and below 12 px in the second one too, so that
    8 px digits keep a 2 x 2 map.
    """

    @override
    def __call__(self, *, classes: int, channels: int, image_size: int) -> nn.Module:
        if image_size < 4:
            raise UsageError(f"expected images of at least 4 px for lenet5, got {image_size} px")
        return _LeNet(classes, channels, image_size)


@final
class _LeNet(nn.Module):
    def __init__(self, classes: int, channels: int, image_size: int) -> None:
        nn.Module.__init__(self)
        first = 0 if image_size >= 32 else 2
        half = (image_size + 2 * first - 4) // 2
        second = 0 if half >= 6 else 2
        quarter = (half + 2 * second - 4) // 2
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=first)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, 5, padding=second)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(16 * quarter**2, 120)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(120, 84)
        self.relu4 = nn.ReLU()
        self.fc3 = nn.Linear(84, classes)

    @override
    def forward(self, images: Tensor) -> Tensor:
        x = self.pool1(self.relu1(self.conv1(images)))
        x = self.flatten(self.pool2(self.relu2(self.conv2(x))))
        logits: Tensor = self.fc3(self.relu4(self.fc2(self.relu3(self.fc1(x)))))
        return logits
