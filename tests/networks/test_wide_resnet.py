from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evalsuite.errors import UsageError
from evalsuite.networks.architectures.by_name import build


def _activated(x: Tensor, s: dict[str, Tensor], name: str) -> Tensor:
    return F.relu(F.batch_norm(x, *(s[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))))


def _reference(x: Tensor, s: dict[str, Tensor], blocks: int) -> Tensor:
    """Zagoruyko and Komodakis 2016, table 1 with figure 1(b) and pre-activation, on a state dict."""
    x = F.conv2d(x, s["conv1.weight"], padding=1)
    for stage in (1, 2, 3):
        for block in range(blocks):
            name = f"block{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            start = _activated(x, s, f"{name}.bn1")
            y = F.conv2d(start, s[f"{name}.conv1.weight"], stride=stride, padding=1)
            y = F.conv2d(_activated(y, s, f"{name}.bn2"), s[f"{name}.conv2.weight"], padding=1)
            changes = block == 0
            x = y + (F.conv2d(start, s[f"{name}.downsample.weight"], stride=stride) if changes else x)
    return F.linear(_activated(x, s, "bn1").mean((2, 3)), s["fc.weight"], s["fc.bias"])


def test_is_the_network_of_the_paper(trained: Callable[..., nn.Module], images: Callable[..., Tensor]) -> None:
    network = trained("wrn16_8?width=1&depth=16", image_size=16)
    x = images(2, 3, 16)
    # at width 1 the first stage keeps its 16 channels and needs no projection
    assert "block1.0.downsample.weight" not in network.state_dict()
    wide = trained("wrn16_8?width=2", image_size=16)
    torch.testing.assert_close(wide(x), _reference(x, wide.state_dict(), 2), rtol=1e-4, atol=1e-4)


def test_count_of_lost_in_pruning() -> None:
    network = build("wrn16_8", classes=10, channels=3, image_size=32)
    assert sum(p.numel() for p in network.parameters()) == 10961370


@pytest.mark.parametrize("arch", ["wrn16_8?depth=17", "wrn16_8?width=0"])
def test_impossible_depths_and_widths_are_refused(arch: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        build(arch, classes=10, channels=3, image_size=32)
