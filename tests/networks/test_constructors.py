"""What a constructor decides and no tensor tells, and names of earlier versions, against torchvision and timm."""

import re
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer

from evalsuite.errors import EvalsuiteError, RefusedInputError, UsageError
from evalsuite.networks.architectures.by_name import build, convention, switches
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, read, write

pytestmark = pytest.mark.slow

Draw = Callable[..., Tensor]
_MODULE = "constructor_networks"


def _tiny_transformer() -> nn.Module:
    return VisionTransformer(
        image_size=8, patch_size=4, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5
    )


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    module = types.ModuleType(_MODULE)
    module.transformer = _tiny_transformer  # type: ignore[attr-defined]
    sys.modules[_MODULE] = module
    yield
    del sys.modules[_MODULE]


def _open(path: Path, state: object, arch: str, shape: tuple[int, int, int], **more: object) -> Checkpoint:
    torch.save(state, path)
    return read(path, arch=arch, shape=shape, **more)  # type: ignore[arg-type]


@torch.no_grad()
def _expected(network: nn.Module, checkpoint: Checkpoint, images: Tensor) -> Tensor:
    mean, std = (each[:, None, None] for each in (checkpoint.network.mean, checkpoint.network.std))
    return network.eval()((images - mean) / std)


@pytest.mark.parametrize("transformed", [True, False])
def test_the_scale_of_inceptions_images_is_what_the_user_says(tmp_path: Path, images: Draw, transformed: bool) -> None:
    network = models.googlenet(
        weights=None, init_weights=False, aux_logits=True, num_classes=6, transform_input=transformed
    )
    arch = f"torchvision:googlenet?transform_input={str(transformed).lower()}"
    x = images(2, 3, 64)
    checkpoint = _open(tmp_path / "a", network.state_dict(), arch, (3, 64, 64))
    with torch.no_grad():
        assert torch.equal(checkpoint.network(x), _expected(network, checkpoint, x))
    readings = {reading.topic: reading for reading in checkpoint.interpretations}
    constructor = readings["constructor"]
    assert (constructor.value, constructor.basis) == (f"transform_input={str(transformed).lower()}", "given")
    # heads that only training uses
    assert readings["keys ignored"].value.startswith("aux1.conv.conv.weight, ")
    # evalsuite's own file keeps what was said
    write(tmp_path / "own", checkpoint)
    with torch.no_grad():
        assert torch.equal(read(tmp_path / "own").network(x), checkpoint.network(x))


def test_the_scale_of_inceptions_images_is_asked(tmp_path: Path) -> None:
    network = models.googlenet(weights=None, init_weights=False, aux_logits=False, num_classes=6)
    for name in ("googlenet", "inception_v3"):
        message = (
            rf"say --arch torchvision:{name}\?transform_input=true .* or --arch torchvision:{name}\?transform_input=f"
        )
        with pytest.raises(RefusedInputError, match=message):
            _open(tmp_path / "a", network.state_dict(), f"torchvision:{name}", (3, 96, 96))


@pytest.mark.parametrize(
    ("name", "digest"),
    # the last part of the names under which torchvision publishes its files: the beginning of their sha256
    [("googlenet", "1378be20"), ("inception_v3", "0cc3c7bd")],
)
def test_published_files_are_known_by_their_digest(name: str, digest: str) -> None:
    arguments, (reading,) = switches(f"torchvision:{name}", {}, digest + "0" * 56)
    assert dict(arguments) == {"transform_input": True}
    assert (reading.value, reading.basis) == ("transform_input=true", "recorded")


def test_statistics_of_torchvisions_published_weights() -> None:
    for name in (*models.list_models(module=models), *models.list_models(module=models.segmentation)):
        assert convention(f"torchvision:{name}").mean is not None
    # the one network whose published weights were trained by others than ImageNet's
    assert (
        convention("torchvision:efficientnet_v2_l").mean
        == convention("torchvision:efficientnet_v2_l").std
        == (0.5,) * 3
    )
    published = convention("torchvision:resnet18", "f37072fd" + "0" * 56)
    assert published.published
    assert published.mean == (0.485, 0.456, 0.406)
    assert "ResNet18_Weights.IMAGENET1K_V1" in published.reason
    assert not convention("torchvision:resnet18", "0" * 64).published


def test_old_names_of_densenets_layers(tmp_path: Path, images: Draw) -> None:
    network = models.densenet121(weights=None, num_classes=4)
    # as torchvision's own published files name them, from before counts of batches
    state = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): tensor
        for name, tensor in network.state_dict().items()
        if "num_batches" not in name
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    checkpoint = _open(tmp_path / "a", state, "torchvision:densenet121", (3, 32, 32))
    with torch.no_grad():
        assert torch.equal(checkpoint.network(images()), _expected(network, checkpoint, images()))
    assert any(reading.topic == "keys renamed" for reading in checkpoint.interpretations)


def test_old_names_that_the_networks_own_hooks_know(tmp_path: Path, images: Draw) -> None:
    network = _tiny_transformer()
    network.heads.head.weight.data.normal_(generator=torch.Generator().manual_seed(0))  # type: ignore[union-attr, operator]
    state = network.state_dict()
    for name in list(state):
        old = re.sub(r"mlp\.([03])\.", lambda match: f"mlp.linear_{1 + int(match[1]) // 3}.", name)
        if old != name:
            state[old] = state.pop(name)
    # versions as torch keeps them beside the tensors
    for entry in state._metadata.values():  # type: ignore[attr-defined]
        entry.pop("version", None)
    held = {"state_dict": type(state)({f"module.{name}": tensor for name, tensor in state.items()})}
    checkpoint = _open(tmp_path / "a", held, f"{_MODULE}:transformer", (3, 8, 8))
    x = images(2, 3, 8)
    with torch.no_grad():
        assert torch.equal(checkpoint.network(x), _expected(network, checkpoint, x))
    (old_names,) = [reading for reading in checkpoint.interpretations if reading.topic == "old names"]
    assert old_names.basis == "measured"
    # integers are no weights, whatever a hook makes of them
    halved = {name: (9 * t).to(torch.int8) if t.ndim > 1 else t for name, t in held["state_dict"].items()}
    with pytest.raises(EvalsuiteError):
        _open(tmp_path / "a", halved, f"{_MODULE}:transformer", (3, 8, 8))


@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_networks_whose_hooks_want_a_version(tmp_path: Path, images: Draw, kind: str) -> None:
    network = models.mnasnet0_5(weights=None, num_classes=4)
    if kind == "torch":
        checkpoint = _open(tmp_path / "a", network.state_dict(), "torchvision:mnasnet0_5", (3, 32, 32))
    else:
        safetensors.torch.save_file(network.state_dict(), tmp_path / "a")
        checkpoint = read(tmp_path / "a", arch="torchvision:mnasnet0_5", shape=(3, 32, 32))
    with torch.no_grad():
        assert torch.equal(checkpoint.network(images()), _expected(network, checkpoint, images()))


@pytest.mark.filterwarnings("ignore:A new version of MNASNet:UserWarning")
def test_a_first_version_of_another_width_is_refused(tmp_path: Path) -> None:
    network = models.mnasnet0_5(weights=None, num_classes=4)
    state = network.state_dict()
    state._metadata[""]["version"] = 1  # type: ignore[attr-defined]
    # its own hook rebuilds the first layers as they were, before it complains about these tensors
    with pytest.raises(RuntimeError, match="size mismatch"):
        network.load_state_dict(state)
    with pytest.raises(UsageError, match=r"of another shape are layers\.0\.weight \(32x3x3x3 instead of 16x3x3x3\)"):
        _open(tmp_path / "a", network.state_dict(), "torchvision:mnasnet0_5", (3, 32, 32))


def _as_facebook_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    rules = (
        (r"^stem\.", "downsample_layers.0."),
        (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
        (r"^stages\.(\d)\.blocks\.(\d+)\.", r"stages.\1.\2."),
        (r"conv_dw", "dwconv"),
        (r"mlp\.fc", "pwconv"),
        (r"^head\.norm\.", "norm."),
        (r"^head\.fc\.", "head."),
    )
    for pattern, replacement in rules:
        state = {re.sub(pattern, replacement, name): tensor for name, tensor in state.items()}
    return state


def test_names_of_others_that_timm_knows(tmp_path: Path, images: Draw) -> None:
    timm = pytest.importorskip("timm")
    # https://github.com/facebookresearch/ConvNeXt names its layers so
    network = timm.create_model("convnext_nano", num_classes=4, conv_mlp=False)
    theirs = _as_facebook_names(dict(network.state_dict()))
    assert "stages.0.0.dwconv.weight" in theirs
    checkpoint = _open(tmp_path / "a", {"model": theirs}, "timm:convnext_nano?conv_mlp=false", (3, 32, 32))
    with torch.no_grad():
        assert torch.equal(checkpoint.network(images()), _expected(network, checkpoint, images()))
    (old_names,) = [reading for reading in checkpoint.interpretations if reading.topic == "old names"]
    assert old_names.value == "timm's rules for other writers' names"
    # layers that the rules would drop are not dropped
    more = {**theirs, "norms.0.weight": torch.ones(80)}
    with pytest.raises(UsageError, match="it lacks stem"):
        _open(tmp_path / "a", {"model": more}, "timm:convnext_nano?conv_mlp=false", (3, 32, 32))


def test_positions_for_images_of_another_size_are_not_resized(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    network = timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=4, depth=1)
    with pytest.raises(UsageError, match="3x128x128"):
        _open(tmp_path / "a", network.state_dict(), "timm:vit_tiny_patch16_224?depth=1", (3, 128, 128))


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("resnet50", ("resnetaa50", "resnetblur50")),
        ("tf_efficientnet_b0", ("efficientnet_b0", "efficientnet_blur_b0")),
        ("vit_huge_patch14_clip_378", ("vit_huge_patch14_clip_quickgelu_378",)),
        ("nest_tiny", ("nest_tiny_jx",)),
        ("mobilenetv4_conv_aa_large", ("mobilenetv4_conv_large",)),
        ("seresnextaa101d_32x8d", ("seresnext101d_32x8d",)),
        ("resnet26", ()),
    ],
)
def test_networks_of_timm_with_the_same_tensors(name: str, others: tuple[str, ...]) -> None:
    timm = pytest.importorskip("timm")
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        shapes, *alike = (
            [(key, tensor.shape) for key, tensor in timm.create_model(each).state_dict().items()]
            for each in (name, *others)
        )
    assert all(each == shapes for each in alike)
    _, readings = switches(f"timm:{name}", {}, "0" * 64)
    assert [reading.reason for reading in readings] == (
        [f"{', '.join(others)} have the same tensors and compute otherwise"] if others else []
    )


def test_they_do_compute_otherwise(images: Draw) -> None:
    timm = pytest.importorskip("timm")
    one, other = (timm.create_model(name, num_classes=4).eval() for name in ("efficientnet_b0", "tf_efficientnet_b0"))
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        assert not torch.allclose(one(images(1, 3, 64)), other(images(1, 3, 64)), rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "vit_base_patch16_224",
            r"timm's configuration of vit_base_patch16_224, unlike that of vit_base_patch16_224\.\w+",
        ),
        ("vit_base_patch16_224.dino", r"timm's configuration of vit_base_patch16_224\.dino"),
        ("resnet50", "timm's configuration of resnet50"),
    ],
)
def test_whose_statistics_timm_gives_is_said(name: str, words: str) -> None:
    timm = pytest.importorskip("timm")
    custom = convention(f"timm:{name}")
    assert re.fullmatch(words, custom.reason)
    assert custom.mean == tuple(timm.models.get_pretrained_cfg(name).mean)


def test_heads_of_training_are_not_built() -> None:
    network = build("torchvision:googlenet", classes=4, channels=3, image_size=64)
    assert not any(name.startswith("aux") for name in network.state_dict())
