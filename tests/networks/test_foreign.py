"""State dicts as users have them."""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.optim.swa_utils import AveragedModel
from torchvision import models

from evalsuite.errors import UsageError
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, read
from evalsuite.networks.normalized import Normalized

pytestmark = pytest.mark.slow

Make = Callable[..., nn.Module]
Draw = Callable[..., Tensor]


@pytest.fixture
def resnet(trained: Make) -> nn.Module:
    return trained("resnet8")


def _read(path: Path, state: object, arch: str | None = "resnet8", **more: object) -> Checkpoint:
    torch.save(state, path)
    return read(path, arch=arch, **{"shape": (3, 32, 32), **more})  # type: ignore[arg-type]


def _prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "prefix", ["", "module.", "model.", "_orig_mod.", "network.", "module._orig_mod.", "model.module."]
)
@pytest.mark.parametrize("key", [None, "state_dict", "model", "net", "model_state_dict", "ema"])
def test_prefixes_and_containers(tmp_path: Path, resnet: nn.Module, images: Draw, prefix: str, key: str | None) -> None:
    state: object = _prefixed(prefix, resnet.state_dict())
    result = _read(tmp_path / "a", state if key is None else {"epoch": 3, key: state, "optimizer": {"lr": 0.1}})
    assert torch.equal(result.network(images()), resnet(images()))
    assert (result.arch, result.class_count, result.shape, result.lineage) == ("resnet8", 10, (3, 32, 32), ())


def test_wrappers_as_torch_makes_them(tmp_path: Path, resnet: nn.Module, images: Draw) -> None:
    for wrapped in (nn.DataParallel(resnet), AveragedModel(resnet), torch.compile(resnet, backend="eager")):
        outcome = _read(tmp_path / "a", wrapped.state_dict())
        assert torch.equal(outcome.network(images()), resnet(images()))


@pytest.mark.parametrize("classes", [2, 10, 37])
def test_number_of_classes_is_read_off(tmp_path: Path, trained: Make, classes: int) -> None:
    for arch in ("resnet8", "lenet5", "vit_small?depth=1", "torchvision:squeezenet1_1"):
        network = trained(arch, classes=classes)
        assert _read(tmp_path / "a", network.state_dict(), arch).class_count == classes


def test_number_of_classes_has_to_agree(tmp_path: Path, resnet: nn.Module) -> None:
    names = tuple("abcdefghij")
    assert _read(tmp_path / "a", resnet.state_dict(), classes=names).classes == names
    assert _read(tmp_path / "a", resnet.state_dict(), classes=10).classes is None
    with pytest.raises(UsageError, match="the 7 classes of the data, got one for 10"):
        _read(tmp_path / "a", resnet.state_dict(), classes=7)


def test_normalisation_told_or_in_the_file(tmp_path: Path, resnet: nn.Module, images: Draw) -> None:
    x, mean, std = images(), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    expected = Normalized(resnet, mean, std)
    message = _read(tmp_path / "a", resnet.state_dict(), mean=mean, std=std)
    assert torch.equal(message.network(x), expected(x))
    # the file's own statistics win
    inside = _read(tmp_path / "a", expected.state_dict(), mean=(0.0,) * 3, std=(1.0,) * 3)
    assert torch.equal(inside.network(x), expected(x))
    with pytest.raises(UsageError, match="mean and std for 3 channels"):
        _read(tmp_path / "a", resnet.state_dict(), mean=(0.5,), std=(0.2,))
    with pytest.raises(UsageError, match="mean and std together"):
        _read(tmp_path / "a", resnet.state_dict(), mean=mean)
    with pytest.raises(UsageError, match="std > 0"):
        _read(tmp_path / "a", resnet.state_dict(), mean=mean, std=(0.0,) * 3)


def test_torchvision_state_dict(tmp_path: Path, images: Draw) -> None:
    network = models.get_model("resnet18", weights=None, num_classes=4).eval()
    path = tmp_path / "a"
    torch.save(network.state_dict(), path)
    actual = read(path, arch="torchvision:resnet18")
    assert (actual.shape, actual.class_count) == ((3, 224, 224), 4)
    x = images(1, 3, 64)
    imagenet = torch.tensor((0.485, 0.456, 0.406))[:, None, None], torch.tensor((0.229, 0.224, 0.225))[:, None, None]
    assert torch.equal(actual.network(x), network((x - imagenet[0]) / imagenet[1]))


def test_timm_state_dict_gray(tmp_path: Path, images: Draw) -> None:
    timm = pytest.importorskip("timm")
    network = timm.create_model("vit_tiny_patch16_224", img_size=32, in_chans=1, num_classes=6, depth=2).eval()
    computed = _read(tmp_path / "a", network.state_dict(), "timm:vit_tiny_patch16_224?depth=2", shape=(1, 32, 32))
    x = images(2, 1, 32)
    assert torch.equal(computed.network(x), network((x - 0.5) / 0.5))


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_masks_made_by_torch(tmp_path: Path, resnet: nn.Module, images: Draw, suffix: str) -> None:
    convolutions = [(m, "weight") for m in resnet.modules() if isinstance(m, nn.Conv2d)]
    prune.global_unstructured(convolutions, prune.L1Unstructured, amount=0.7)
    prune.random_structured(resnet.get_submodule("fc"), "weight", amount=0.5, dim=1)
    prune.l1_unstructured(resnet.get_submodule("fc"), "bias", amount=3)
    path = tmp_path / f"a.{suffix}"
    if suffix == "pt":
        torch.save(resnet.state_dict(), path)
    else:
        safetensors.torch.save_file(resnet.state_dict(), path)
    result = read(path, arch="resnet8", shape=(3, 32, 32))
    assert torch.equal(result.network(images()), resnet(images()))
    zeros = sum(int((p == 0).sum()) for m in result.network.modules() if isinstance(m, nn.Conv2d) for p in [m.weight])
    count = sum(m.weight.numel() for m, _ in convolutions)
    assert zeros == round(0.7 * count)


def test_masks_as_a_parametrization(tmp_path: Path, resnet: nn.Module, images: Draw) -> None:
    class Mask(nn.Module):
        def __init__(self, mask: Tensor) -> None:
            super().__init__()
            self.register_buffer("mask", mask)

        def forward(self, weight: Tensor) -> Tensor:
            return weight * self.mask

    layer = resnet.get_submodule("layer1.0.conv1")
    parametrize.register_parametrization(layer, "weight", Mask((layer.weight.detach() > 0).float()))
    result = _read(tmp_path / "a", resnet.state_dict())
    assert torch.equal(result.network(images()), resnet(images()))


def test_a_trusted_network_with_live_masks(tmp_path: Path, resnet: nn.Module, images: Draw) -> None:
    prune.l1_unstructured(resnet.get_submodule("conv1"), "weight", 0.5)
    torch.save(resnet, tmp_path / "a")
    digest = hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()
    result = read(tmp_path / "a", shape=(3, 32, 32), trusted=frozenset({digest}))
    assert torch.equal(result.network(images()), resnet(images()))
    assert not prune.is_pruned(result.network)


def test_other_spellings_of_the_same_layers(tmp_path: Path, trained: Make, images: Draw) -> None:
    def respell(state: dict[str, Tensor], *pairs: tuple[str, str]) -> dict[str, Tensor]:
        for ours, theirs in pairs:
            state = {name.replace(ours, theirs): tensor for name, tensor in state.items()}
        return state

    resnet = trained("resnet20")
    state = respell(resnet.state_dict(), ("downsample", "shortcut"), ("fc.", "linear."))
    result = _read(tmp_path / "a", {"state_dict": _prefixed("module.", state)}, "resnet20")
    assert torch.equal(result.network(images()), resnet(images()))
    wide = trained("wrn16_8?width=1")
    state = respell(
        wide.state_dict(), *((f"block{i}.", f"block{i}.layer.") for i in (1, 2, 3)), ("downsample", "convShortcut")
    )
    result = _read(tmp_path / "a", state, "wrn16_8?width=1")
    assert torch.equal(result.network(images()), wide(images()))


def test_half_precision_sparse_and_old_files(tmp_path: Path, resnet: nn.Module, images: Draw) -> None:
    halved = {k: v.half() if v.is_floating_point() else v for k, v in resnet.state_dict().items()}
    result = _read(tmp_path / "a", halved)
    assert torch.equal(result.network.get_parameter("network.fc.weight"), halved["fc.weight"].float())
    sparse = {k: v.to_sparse() if k.endswith("conv1.weight") else v for k, v in resnet.state_dict().items()}
    assert torch.equal(_read(tmp_path / "a", sparse).network(images()), resnet(images()))
    old = OrderedDict((k, v) for k, v in resnet.state_dict().items() if not k.endswith("num_batches_tracked"))
    assert torch.equal(_read(tmp_path / "a", old).network(images()), resnet(images()))


def test_without_arch_the_message_names_the_architectures_that_fit(tmp_path: Path, trained: Make) -> None:
    state = trained("resnet20").state_dict()
    with pytest.raises(UsageError, match=r"expected --arch .* its names are those of resnet20:"):
        _read(tmp_path / "a", state, None)
    with pytest.raises(UsageError, match=r"expected --arch .* got none: "):
        _read(tmp_path / "a", {"something": torch.zeros(3)}, None)


@pytest.mark.parametrize(
    ("arch", "requested", "messages"),
    [
        ("resnet20", "resnet56", r"it lacks layer1\.3\.conv1\.weight.* and \d+ more.*names are those of resnet20\."),
        ("resnet20", "resnet8", r"beside them layer1\.1\.conv1\.weight.* and \d+ more.*those of resnet20\."),
        ("resnet8?shortcut=padding", "resnet8", r"it lacks layer2\.0\.downsample.*of resnet8\?shortcut=padding\."),
        ("resnet8?width=20", "resnet8", r"another shape are conv1\.weight \(20x3x3x3 instead of 16x3x3x3\)"),
        ("lenet5", "vit_small", r"names are those of lenet5\."),
        ("torchvision:squeezenet1_1", "resnet8", r"another architecture \(--arch\)\?"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, trained: Make, arch: str, requested: str, messages: str) -> None:
    with pytest.raises(UsageError, match=messages) as caught:
        _read(tmp_path / "a", trained(arch).state_dict(), requested)
    # five names at most of each kind
    assert len(str(caught.value)) < 900


def test_shape_is_needed_where_there_is_no_convention(tmp_path: Path, resnet: nn.Module) -> None:
    with pytest.raises(UsageError, match="expected the shape of the images"):
        _read(tmp_path / "a", resnet.state_dict(), shape=None)


def test_number_of_channels_has_to_agree(tmp_path: Path, trained: Make) -> None:
    with pytest.raises(UsageError, match=r"conv1\.weight|images of shape"):
        _read(tmp_path / "a", trained("resnet8", channels=1).state_dict())
    with pytest.raises(UsageError, match=r"conv1\.weight \(16x3x3x3 instead of 16x1x3x3\)"):
        _read(tmp_path / "a", trained("resnet8").state_dict(), shape=(1, 32, 32))


def test_values_survive_to_the_last_bit(tmp_path: Path, resnet: nn.Module) -> None:
    resnet.get_parameter("fc.bias").data[:3] = torch.tensor([math.pi, -0.0, 1e-42])
    result = _read(tmp_path / "a", resnet.state_dict())
    assert torch.equal(
        result.network.get_parameter("network.fc.bias").view(torch.int32),
        resnet.get_parameter("fc.bias").view(torch.int32),
    )
