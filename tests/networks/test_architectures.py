import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from evalsuite.errors import UnknownNameError, UsageError
from evalsuite.networks.architectures.by_name import BUILT_IN, build, convention, describe, split


def _equal(one: nn.Module, two: nn.Module) -> bool:
    a, b = one.state_dict(), two.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("arch", BUILT_IN)
def test_weights_depend_on_the_seed_alone(arch: str) -> None:
    small = {"vgg16_bn": "vgg16_bn?depth=11", "wrn16_8": "wrn16_8?width=1", "resnet110": "resnet110?depth=14"}
    arch = small.get(arch, arch)
    first = build(arch, classes=10, channels=1, image_size=28, seed=3)
    torch.rand(7)
    assert _equal(first, build(arch, classes=10, channels=1, image_size=28, seed=3))
    assert not _equal(first, build(arch, classes=10, channels=1, image_size=28, seed=4))


@pytest.mark.parametrize("arch", ["resnet8", "torchvision:squeezenet1_1", "math:sqrt"])
def test_the_global_random_state_is_not_moved(arch: str) -> None:
    before = torch.random.get_rng_state()
    try:
        build(arch, classes=10, channels=3, image_size=32)
    except UsageError:
        assert arch == "math:sqrt"
    assert torch.equal(torch.random.get_rng_state(), before)


def test_initialisation_has_the_variance_of_he_et_al() -> None:
    # 64 filters of 3 x 3: N(0, 2 / 576); 36 864 draws, so the variance is known to 2 * sqrt(2 / 36864) = 1.5 %
    weight = build("resnet20", classes=10, channels=3, image_size=32).get_parameter("layer3.1.conv1.weight")
    assert float(weight.detach().var()) == pytest.approx(2 / 576, rel=0.03)


@pytest.mark.parametrize(
    ("arch", "near"),
    [
        ("resnet21", "resnet20"),
        ("torchvision:resnet19", "resnet18"),
        ("timm:resnet19", "resnet18"),
        ("VGG16_bn", "vgg16_bn"),
    ],
)
def test_unknown_names_tell_the_nearest(arch: str, near: str) -> None:
    if arch.startswith("timm"):
        pytest.importorskip("timm")
    with pytest.raises(UnknownNameError, match=f"Did you mean.*{near}") as caught:
        build(arch, classes=10, channels=3, image_size=32)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("resnet20?shortcut=none", "'projection' or 'padding', got 'none'"),
        ("resnet20?deph=8", r"a setting of resnet20 \(depth, width, shortcut\), got 'deph'"),
        ("resnet20?depth", "setting=value"),
        (f"resnet20?depth={'[' * 10_000}", "depth of resnet20"),
        ("resnet20?depth=8&depth=14", "one value for 'depth', got 8 and 14"),
        ("lenet5?depth=8", "it has none"),
        ("torchvision:resnet18?weights=DEFAULT", "weights come from the checkpoint"),
        ("torchvision:resnet18?colour=3", "cannot be built"),
        ("torchvision:vit_b_16", "cannot be built"),
    ],
)
def test_settings_that_are_not_accepted_are_told(arch: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(arch, classes=10, channels=3, image_size=30)


@pytest.mark.parametrize(("classes", "channels", "side"), [(0, 3, 32), (10, 0, 32), (10, 3, 0)])
def test_impossible_numbers_are_refused(classes: int, channels: int, side: int) -> None:
    with pytest.raises(UsageError, match=r"expected (classes|channels|image_size) >= "):
        build("resnet8", classes=classes, channels=channels, image_size=side)


def test_settings_behind_the_question_mark_join_the_arguments() -> None:
    assert split("resnet20?width=8&shortcut=padding&x=0.5&y=true", {"depth": 14}) == (
        "resnet20",
        {"depth": 14, "width": 8, "shortcut": "padding", "x": 0.5, "y": True},
    )
    assert split(" timm:resnet18.a1_in1k ") == ("timm:resnet18.a1_in1k", {})
    named = build("resnet8", classes=3, channels=1, image_size=8, arguments={"width": 4})
    assert _equal(named, build("resnet8?width=4", classes=3, channels=1, image_size=8))


def test_torchvision_networks_are_torchvisions() -> None:
    network = build("torchvision:resnet18", classes=1000, channels=3, image_size=224)
    assert sum(p.numel() for p in network.parameters()) == 11689512
    with torch.device("meta"):
        transformer = build("torchvision:vit_b_16", classes=5, channels=3, image_size=32)
    # 2 x 2 patches and the class token
    assert transformer.get_parameter("encoder.pos_embedding").shape == (1, 5, 768)
    with pytest.raises(UsageError, match="colour images"):
        build("torchvision:resnet18", classes=10, channels=1, image_size=28)


@pytest.mark.parametrize(
    ("name", "side"), [("resnet10t", 32), ("vit_tiny_patch16_224?depth=1", 32), ("mobilenetv3_small_050", 28)]
)
def test_timm_networks_take_any_channels_and_size(name: str, side: int) -> None:
    pytest.importorskip("timm")
    network = build(f"timm:{name}", classes=7, channels=1, image_size=side).eval()
    assert network(torch.rand(2, 1, side, side)).shape == (2, 7)


@pytest.mark.parametrize("setting", ["pretrained=true", "checkpoint_path=weights.pt", "pretrained_cfg=x"])
def test_timm_never_loads_weights_by_itself(setting: str) -> None:
    pytest.importorskip("timm")
    with pytest.raises(UsageError, match="weights come from the checkpoint"):
        build(f"timm:resnet10t?{setting}", classes=10, channels=3, image_size=32)
    with pytest.raises(UnknownNameError):
        build("timm:hf-hub:timm/resnet18.a1_in1k", classes=10, channels=3, image_size=32)


def test_without_timm_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"pip install '\.\[timm\]' in a checkout"):
        build("timm:resnet18", classes=10, channels=3, image_size=32)


def test_conventions() -> None:
    assert convention("torchvision:resnet18").mean == (0.485, 0.456, 0.406)
    assert convention("torchvision:resnet18").shape == (3, 224, 224)
    assert convention("resnet20?depth=14").mean is None
    assert convention("package.module:factory").shape is None
    assert convention("robustbench:Wong2020Fast@cifar100/Linf").classes == 100


def test_timms_own_configuration_is_the_convention() -> None:
    pytest.importorskip("timm")
    assert convention("timm:vit_tiny_patch16_224").mean == (0.5, 0.5, 0.5)
    assert convention("timm:resnet18").std == (0.229, 0.224, 0.225)


def test_describe_names_every_origin() -> None:
    messages = describe()
    assert messages.keys() >= {"resnet20", "vit_small", "timm:NAME", "package.module:factory"}
    assert "depth=56" in messages["resnet56"]


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the user's own, in a folder on the path."""
    (tmp_path / "own_networks.py").write_text(
        "from torch import nn\n"
        "def tiny(num_classes, in_channels=3, hidden=4):\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, hidden, 3), nn.Flatten(), nn.LazyLinear(num_classes))\n"
        "def needs(secret): return nn.Identity()\n"
        "def wrong(): return 3\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_networks", raising=False)


@pytest.mark.usefixtures("user_module")
def test_factories_get_what_they_have_a_name_for() -> None:
    network = build("own_networks:tiny", classes=7, channels=1, image_size=9, arguments={"hidden": 5})
    assert network(torch.rand(1, 1, 9, 9)).shape == (1, 7)
    assert network.get_parameter("0.weight").shape == (5, 1, 3, 3)


@pytest.mark.usefixtures("user_module")
@pytest.mark.parametrize(
    ("arch", "sentence"),
    [
        ("own_networks:needs", "missing a required argument: 'secret'"),
        ("own_networks:wrong", r"torch\.nn\.Module, got int"),
        ("own_networks:number", "a callable 'number' in own_networks, got 3"),
        ("own_networks:absent", "a callable 'absent' in own_networks, got None"),
        ("no.such.module:factory", "installed, or in the working folder"),
        (":factory", "expected a module"),
    ],
)
def test_factories_that_do_not_work_are_told(arch: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        build(arch, classes=7, channels=1, image_size=9)


def test_without_robustbench_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "autoattack", ModuleType("autoattack"))
    for name in _loaded():
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "robustbench", None)
    with pytest.raises(UsageError, match=r"make robustbench .* or pip install '\.\[robustbench\]' in a checkout"):
        build("robustbench:Wong2020Fast@cifar10/Linf", classes=10, channels=3, image_size=32)


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The part of RobustBench 1.1.1 that the adapter touches, spelled as there."""
    package = tmp_path / "robustbench" / "model_zoo"
    package.mkdir(parents=True)
    (tmp_path / "robustbench" / "__init__.py").write_text("import autoattack\nautoattack.AutoAttack\n")
    (package / "__init__.py").write_text("from .models import model_dicts\n")
    (package / "enums.py").write_text(
        "from enum import Enum\n"
        "BenchmarkDataset = Enum('BenchmarkDataset', {'cifar_10': 'cifar10', 'imagenet': 'imagenet'})\n"
        "ThreatModel = Enum('ThreatModel', {'Linf': 'Linf', 'L2': 'L2'})\n"
    )
    (package / "models.py").write_text(
        "from torch import nn\nfrom robustbench.model_zoo.enums import BenchmarkDataset, ThreatModel\n"
        "net = lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))\n"
        "model_dicts = {BenchmarkDataset.cifar_10: {ThreatModel.Linf: {'Fast': {'model': net, 'gdrive_id': 'x'}}}}\n"
    )
    for name in _loaded():
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in _loaded():
        del sys.modules[name]


def _loaded() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] in {"robustbench", "autoattack"}]


@pytest.mark.usefixtures("zoo")
def test_robustbench_architectures_come_without_weights(images: Callable[..., Tensor]) -> None:
    network = build("robustbench:Fast@cifar10/Linf", classes=10, channels=3, image_size=32)
    assert network(images()).shape == (2, 10)
    with pytest.raises(UnknownNameError, match="Did you mean 'Fast'"):
        build("robustbench:Fasd@cifar10/Linf", classes=10, channels=3, image_size=32)
    for where in ("cifar10/L2", "cifar10/L3", "mnist/Linf", "cifar10"):
        with pytest.raises(UsageError, match="NAME@dataset/threat"):
            build(f"robustbench:Fast@{where}", classes=10, channels=3, image_size=32)
    with pytest.raises(UsageError, match="10 classes and 3 channels"):
        build("robustbench:Fast@cifar10/Linf", classes=7, channels=3, image_size=32)
