"""Networks that give maps and numbers: against torchvision, and by closed forms."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models

from evalsuite.errors import UsageError
from evalsuite.networks.architectures.by_name import build
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, check_fits, read, write
from evalsuite.networks.normalized import Normalized


@pytest.mark.parametrize("name", ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"])
def test_segmentation_networks_are_torchvisions(name: str) -> None:
    ours = build(f"torchvision:{name}", classes=5, channels=3, image_size=64).eval()
    theirs = models.get_model(name, weights=None, weights_backbone=None, num_classes=5).eval()
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images)["out"])


def test_a_file_with_a_second_head_is_read_without_it(tmp_path: Path) -> None:
    theirs = models.get_model(
        "deeplabv3_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=4, aux_loss=True
    )
    assert any(name.startswith("aux_classifier.") for name in theirs.state_dict())
    torch.save(theirs.state_dict(), tmp_path / "theirs.pt")
    result = read(tmp_path / "theirs.pt", arch="torchvision:deeplabv3_mobilenet_v3_large", shape=(3, 48, 48))
    assert result.class_count == 4
    check_fits(result, (4, 48, 48), (3, 48, 48))
    images = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    mean, std = (subject[:, None, None] for subject in (result.network.mean, result.network.std))
    with torch.no_grad():
        assert torch.equal(result.network(images), theirs.eval()((images - mean) / std)["out"])


def test_espcn_without_weights_is_bicubic_interpolation() -> None:
    network = build("espcn?factor=3&width=8", classes=3, channels=3, image_size=10).eval()
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    images = torch.rand(2, 3, 10, 8, generator=torch.Generator().manual_seed(0))
    expected = nn.functional.interpolate(images, scale_factor=3, mode="bicubic", align_corners=False)
    with torch.no_grad():
        assert torch.equal(network(images), expected)


def test_espcn_puts_its_channels_where_the_paper_does() -> None:
    # Shi et al. 2016, equation 4: channel c r² + r (y mod r) + x mod r of the last map becomes the pixel (y, x)
    network = build("espcn?factor=2&width=2", classes=1, channels=1, image_size=3).eval()
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    last = network.get_submodule("conv3")
    last.bias.data = torch.arange(4.0)
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 3, 3))[0, 0, :2, :2].tolist() == [[0.0, 1.0], [2.0, 3.0]]


def test_mlp_has_the_layers_it_says() -> None:
    network = build("mlp?depth=2&width=8", classes=3, channels=10, image_size=1)
    sizes = [tuple(layer.weight.shape) for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert sizes == [(8, 10), (8, 8), (3, 8)]
    assert network(torch.rand(4, 10, 1, 1)).shape == (4, 3)
    (only,) = (build("mlp?depth=0", classes=2, channels=1, image_size=8).parameters(),)
    assert [tuple(parameter.shape) for parameter in only] == [(2, 64), (2,)]


@pytest.mark.parametrize("arch", ["mlp?depth=-1", "mlp?width=0", "espcn?factor=1"])
def test_settings_out_of_range_are_refused(arch: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        build(arch, classes=2, channels=3, image_size=8)


def test_a_network_that_gives_maps_is_kept_and_read(tmp_path: Path) -> None:
    bare = build("espcn?width=4", classes=3, channels=3, image_size=8)
    network = Normalized(bare, (0.0,) * 3, (1.0,) * 3).eval()
    made = Checkpoint(network=network, arch="espcn", arguments={"width": 4}, class_count=3, shape=(3, 8, 8))
    write(tmp_path / "espcn.safetensors", made)
    outcome = read(tmp_path / "espcn.safetensors")
    images = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(outcome.network(images), network(images))
    with pytest.raises(UsageError, match="gives 3x24x24 numbers for an image of the data, got 3x16x16"):
        check_fits(outcome, (3, 24, 24), (3, 8, 8))
