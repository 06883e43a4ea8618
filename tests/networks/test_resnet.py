from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evalsuite.errors import UsageError
from evalsuite.networks.architectures.by_name import build


def _norm(x: Tensor, s: dict[str, Tensor], name: str) -> Tensor:
    weights = (s[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *weights)


def _reference(x: Tensor, s: dict[str, Tensor], blocks: int) -> Tensor:
    """He et al. 2016, section 4.2, written down from the figure, on a state dict."""
    x = F.relu(_norm(F.conv2d(x, s["conv1.weight"], padding=1), s, "bn1"))
    for stage in (1, 2, 3):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = F.relu(_norm(F.conv2d(x, s[f"{name}.conv1.weight"], stride=stride, padding=1), s, f"{name}.bn1"))
            y = _norm(F.conv2d(y, s[f"{name}.conv2.weight"], padding=1), s, f"{name}.bn2")
            if f"{name}.downsample.0.weight" in s:
                x = _norm(F.conv2d(x, s[f"{name}.downsample.0.weight"], stride=stride), s, f"{name}.downsample.1")
            elif stride == 2:
                zeros = torch.zeros_like(x[:, : x.shape[1] // 2, ::2, ::2])
                x = torch.cat((zeros, x[:, :, ::2, ::2], zeros), 1)
            x = F.relu(x + y)
    return F.linear(x.mean((2, 3)), s["fc.weight"], s["fc.bias"])


@pytest.mark.parametrize(("arch", "blocks"), [("resnet8", 1), ("resnet20", 3), ("resnet20?shortcut=padding", 3)])
def test_is_the_network_of_the_paper(
    trained: Callable[..., nn.Module], images: Callable[..., Tensor], arch: str, blocks: int
) -> None:
    network = trained(arch)
    x = images()
    torch.testing.assert_close(network(x), _reference(x, network.state_dict(), blocks), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arch", "parameters"),
    [
        # Lost in Pruning's ResNet20: 269 722 without, and two projections: 16 * 32 + 64 and 32 * 64 + 128
        ("resnet20", 272474),
        ("resnet20?shortcut=padding", 269722),
        # He et al. 2016, table 6: 0.27M, 0.85M, 1.7M with option A; exact: 36 * 2304 + ... = 853 018 and 1 727 962
        ("resnet56?shortcut=padding", 853018),
        ("resnet110?shortcut=padding", 1727962),
        ("resnet56", 853018 + 2752),
        ("resnet110", 1727962 + 2752),
    ],
)
def test_well_known_counts(arch: str, parameters: int) -> None:
    network = build(arch, classes=10, channels=3, image_size=32)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (1, 8), (3, 64), (2, 1)])
def test_takes_images_of_any_size(channels: int, side: int) -> None:
    network = build("resnet8", classes=7, channels=channels, image_size=side).eval()
    assert network(torch.rand(1, channels, side, side)).shape == (1, 7)


@pytest.mark.parametrize("arch", ["resnet20?depth=21", "resnet20?depth=2", "resnet20?width=0"])
def test_impossible_depths_and_widths_are_refused(arch: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        build(arch, classes=10, channels=3, image_size=32)
