from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import vgg

from evalsuite.errors import UsageError
from evalsuite.networks.architectures.by_name import build


def test_convolutions_are_torchvisions(trained: Callable[..., nn.Module], images: Callable[..., Tensor]) -> None:
    network = trained("vgg16_bn")
    reference = vgg.make_layers(vgg.cfgs["D"], batch_norm=True).eval()
    state = {k.removeprefix("features."): v for k, v in network.state_dict().items() if k.startswith("features.")}
    reference.load_state_dict(state)
    x = images()
    expected = reference(x).flatten(1) @ network.state_dict()["classifier.weight"].T
    torch.testing.assert_close(network(x), expected + network.state_dict()["classifier.bias"], rtol=1e-4, atol=1e-4)


def test_count_of_lost_in_pruning() -> None:
    network = build("vgg16_bn", classes=10, channels=3, image_size=32)
    assert sum(p.numel() for p in network.parameters()) == 14728266


@pytest.mark.parametrize("side", [1, 8, 28, 31, 64])
def test_takes_images_of_any_size_under_the_same_names(side: int) -> None:
    network = build("vgg16_bn?depth=11", classes=10, channels=1, image_size=side).eval()
    assert network(torch.rand(1, 1, side, side)).shape == (1, 10)
    assert "features.25.weight" in network.state_dict()


def test_unknown_depth_is_refused() -> None:
    with pytest.raises(UsageError, match=r"11, 13, 16 or 19.*got 12"):
        build("vgg16_bn?depth=12", classes=10, channels=3, image_size=32)


def test_a_narrower_network_keeps_its_proportions() -> None:
    network = build("vgg16_bn?depth=11&width=4", classes=10, channels=1, image_size=28)
    convolutions = [len(m.weight) for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert convolutions == [4, 8, 16, 16, 32, 32, 32, 32]
    with pytest.raises(UsageError, match="width >= 1, got 0"):
        build("vgg16_bn?width=0", classes=10, channels=3, image_size=32)
