import copy
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.networks.architectures.by_name import build
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, check_fits, read, restore, write
from evalsuite.networks.digest import network_digest
from evalsuite.networks.normalized import Normalized
from evalsuite.version import __version__

pytestmark = pytest.mark.slow

Make = Callable[..., nn.Module]
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def _checkpoint(network: nn.Module, arch: str | None, **more: object) -> Checkpoint:
    fields: dict[str, object] = {"class_count": 10, "shape": (3, 32, 32), **more}
    return Checkpoint(network=Normalized(network, MEAN, STD).eval(), arch=arch, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arch", ["lenet5", "resnet8", "densenet22", "wrn16_8?width=1", "vit_small?depth=2", "vgg16_bn?depth=11"]
)
def test_built_in_networks_come_back(tmp_path: Path, trained: Make, images: Callable[..., Tensor], arch: str) -> None:
    bare, _, settings = arch.partition("?")
    key, _, value = settings.partition("=")
    before = _checkpoint(trained(arch), bare, arguments={key: int(value)} if key else {})
    digest = write(tmp_path / "a.safetensors", before)
    after = read(tmp_path / "a.safetensors")
    assert torch.equal(after.network(images()), before.network(images()))
    assert network_digest(after.network) == network_digest(before.network)
    assert after.file_digest == digest == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    assert not any(module.training for module in after.network.modules())
    assert all(parameter.requires_grad for parameter in after.network.parameters())


@pytest.mark.parametrize("arch", ["torchvision:mobilenet_v3_small", "timm:vit_tiny_patch16_224", "timm:resnet10t"])
def test_other_libraries_networks_come_back(
    tmp_path: Path, trained: Make, images: Callable[..., Tensor], arch: str
) -> None:
    if arch.startswith("timm"):
        pytest.importorskip("timm")
    before = _checkpoint(trained(arch), arch)
    write(tmp_path / "a", before)
    after = read(tmp_path / "a")
    assert torch.equal(after.network(images()), before.network(images()))
    assert network_digest(after.network) == network_digest(before.network)


def test_everything_known_about_a_network_comes_back(tmp_path: Path, trained: Make) -> None:
    names = tuple(f"Klasse {i} “ä”" for i in range(10))
    lineage = (
        {"step": "train", "version": __version__, "recipe": "standard", "epochs": 3},
        {"step": "prune", "version": __version__, "from": "0" * 64, "ratio": 0.5, "retrained": True, "seed": None},
    )
    arguments = {"width": 4, "shortcut": "padding"}
    network = trained("resnet8?width=4&shortcut=padding", image_size=28)
    before = Checkpoint(
        network=Normalized(network, MEAN, STD).eval(), arch="resnet8", arguments=arguments, class_count=10,
        classes=names, shape=(3, 28, 28), data="folder:photos", lineage=lineage,
    )  # fmt: skip
    write(tmp_path / "deep" / "er" / "a", before)
    after = read(tmp_path / "deep" / "er" / "a")
    assert (after.arch, dict(after.arguments), after.classes) == ("resnet8", arguments, names)
    assert (after.shape, after.data, after.class_count) == ((3, 28, 28), "folder:photos", 10)
    assert tuple(dict(step) for step in after.lineage) == lineage
    # True stays True and does not become 1
    assert after.lineage[1]["retrained"] is True


def test_the_same_checkpoint_is_the_same_bytes(tmp_path: Path, trained: Make) -> None:
    checkpoint = _checkpoint(trained("resnet8"), "resnet8", lineage=({"step": "train", "a": 1, "b": 2},))
    assert len({write(tmp_path / str(i), checkpoint) for i in range(3)}) == 1
    write(tmp_path / "again", read(tmp_path / "0"))
    assert (tmp_path / "again").read_bytes() == (tmp_path / "0").read_bytes()


def test_writing_is_all_or_nothing(tmp_path: Path, trained: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write(path, _checkpoint(trained("lenet5"), "lenet5"))
    before = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write(path, _checkpoint(trained("lenet5", seed=1), "lenet5"))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_writing_leaves_the_network_as_it_was(tmp_path: Path, trained: Make) -> None:
    network = trained("resnet8")
    prune.l1_unstructured(network.get_submodule("conv1"), "weight", 0.3)
    before = copy.deepcopy(network.state_dict())
    write(tmp_path / "a", _checkpoint(network, "resnet8"))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert prune.is_pruned(network)


def test_masks_are_written_as_zeros(tmp_path: Path, trained: Make, images: Callable[..., Tensor]) -> None:
    network = trained("resnet8")
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            prune.l1_unstructured(module, "weight", 0.6)
    before = _checkpoint(network, "resnet8")
    write(tmp_path / "a", before)
    after = read(tmp_path / "a")
    assert not prune.is_pruned(after.network)
    assert torch.equal(after.network(images()), before.network(images()))
    assert network_digest(after.network) == network_digest(before.network)


def test_networks_of_the_users_own_python_need_them_again(
    tmp_path: Path, trained: Make, images: Callable[..., Tensor]
) -> None:
    before = _checkpoint(trained("resnet8"), None)
    write(tmp_path / "a", before)
    with pytest.raises(UsageError, match=r"say --arch, or read it with .*restore"):
        read(tmp_path / "a")
    blank = Normalized(build("resnet8", classes=10, channels=3, image_size=32, seed=9), (0.0,) * 3, (1.0,) * 3)
    untouched = network_digest(blank)
    after = restore(tmp_path / "a", blank)
    assert torch.equal(after(images()), before.network(images()))
    assert network_digest(after) == network_digest(before.network)
    assert network_digest(blank) == untouched
    assert torch.equal(read(tmp_path / "a", arch="resnet8").network(images()), before.network(images()))


def test_arch_beside_a_file_that_names_its_own(tmp_path: Path, trained: Make) -> None:
    write(tmp_path / "a", _checkpoint(trained("resnet8"), "resnet8"))
    assert read(tmp_path / "a", arch="resnet8").arch == "resnet8"
    with pytest.raises(UsageError, match="expected --arch resnet8, as the file says"):
        read(tmp_path / "a", arch="resnet20")


def test_a_factory_of_the_users_own_is_called_when_they_name_it(
    tmp_path: Path, images: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_factory.py").write_text(
        "from torch import nn\ndef tiny(classes, hidden): return nn.Sequential(\n"
        "    nn.Conv2d(3, hidden, 3, stride=4), nn.Flatten(), nn.Linear(hidden * 64, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_factory", raising=False)
    arch, arguments = "own_factory:tiny", {"hidden": 5}
    network = build(arch, classes=10, channels=3, image_size=32, arguments=arguments).eval()
    before = _checkpoint(network, arch, arguments=arguments)
    write(tmp_path / "a", before)
    with pytest.raises(RefusedInputError, match="expected --arch own_factory:tiny"):
        read(tmp_path / "a")
    after = read(tmp_path / "a", arch=arch)
    assert torch.equal(after.network(images()), before.network(images()))
    assert network_digest(after.network) == network_digest(before.network)


def test_words_that_a_file_hands_to_the_users_code_are_theirs_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_reader.py").write_text(
        "from torch import nn\ndef tiny(classes, weights='none'):\n"
        "    assert weights == 'none', 'opened'\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_reader", raising=False)
    network = build("own_reader:tiny", classes=10, channels=3, image_size=32).eval()
    write(tmp_path / "a", _checkpoint(network, "own_reader:tiny", arguments={"weights": "evil file.pt"}))
    with pytest.raises(RefusedInputError, match=r"expected --arch 'own_reader:tiny\?weights=evil file.pt'"):
        read(tmp_path / "a", arch="own_reader:tiny")
    with pytest.raises(UsageError, match="opened"):
        read(tmp_path / "a", arch="own_reader:tiny?weights=evil file.pt")
    write(tmp_path / "b", _checkpoint(network, "own_reader:tiny", arguments={"weights": "none"}))
    assert read(tmp_path / "b", arch="own_reader:tiny", arguments={"weights": "none"}).arch == "own_reader:tiny"


def test_check_fits(trained: Make) -> None:
    checkpoint = _checkpoint(trained("lenet5"), "lenet5")
    check_fits(checkpoint, (10,), (3, 32, 32))
    with pytest.raises(UsageError, match="the 7 classes of the data, got one for 10"):
        check_fits(checkpoint, (7,), (3, 32, 32))
    with pytest.raises(UsageError, match=r"images of shape 3x28x28, got: .*mat1"):
        check_fits(checkpoint, (10,), (3, 28, 28))
    # one channel would be spread over three by the normalisation's own broadcasting
    with pytest.raises(UsageError, match="images of shape 1x32x32, got one for 3 channels"):
        check_fits(checkpoint, (10,), (1, 32, 32))
    with pytest.raises(UsageError, match="images of shape 4x32x32"):
        check_fits(checkpoint, (10,), (4, 32, 32))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Flatten(0), "one row of outputs, or one map of them, per image, got shape 3072"),
        (nn.Identity(), "gives 10 numbers for an image of the data, got 3x32x32"),
    ],
)
def test_check_fits_wants_rows_of_logits(network: nn.Module, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_fits(_checkpoint(network, None), (10,), (3, 32, 32))


def test_check_fits_leaves_modes_alone() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(12, 10))
    checkpoint = Checkpoint(network=Normalized(network, MEAN, STD), arch=None, class_count=10, shape=(3, 2, 2))
    checkpoint.network.train()
    check_fits(checkpoint, (10,), (3, 2, 2))
    assert all(module.training for module in checkpoint.network.modules())
