from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import DenseNet

from evalsuite.errors import UsageError
from evalsuite.networks.architectures.by_name import build


def test_is_torchvisions_with_the_small_image_stem(
    trained: Callable[..., nn.Module], images: Callable[..., Tensor]
) -> None:
    network = trained("densenet22")
    reference = DenseNet(12, (3, 3, 3), 24, bn_size=4, drop_rate=0, num_classes=10).eval()
    reference.features.conv0 = nn.Conv2d(3, 24, 3, padding=1, bias=False)
    for name in ("norm0", "relu0", "pool0"):
        setattr(reference.features, name, nn.Identity())
    ours, theirs = network.state_dict(), reference.state_dict()
    assert [v.shape for v in ours.values()] == [v.shape for v in theirs.values()]
    reference.load_state_dict(dict(zip(theirs, ours.values(), strict=True)))
    x = images()
    torch.testing.assert_close(network(x), reference(x), rtol=1e-4, atol=1e-5)


def test_count_of_lost_in_pruning() -> None:
    network = build("densenet22", classes=10, channels=3, image_size=32)
    assert sum(p.numel() for p in network.parameters()) == 71686


@pytest.mark.parametrize("side", [4, 8, 28])
def test_takes_small_images(side: int) -> None:
    network = build("densenet22", classes=10, channels=1, image_size=side).eval()
    assert network(torch.rand(1, 1, side, side)).shape == (1, 10)


@pytest.mark.parametrize(
    ("arch", "side"),
    [("densenet22", 3), ("densenet22?depth=23", 32), ("densenet22?growth=0", 32), ("densenet22?compression=1.5", 32)],
)
def test_what_makes_no_sense_is_refused(arch: str, side: int) -> None:
    with pytest.raises(UsageError, match="expected"):
        build(arch, classes=10, channels=3, image_size=side)
