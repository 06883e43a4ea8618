"""Networks of other libraries, with a folder of photos, swept by the same command."""

import json

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes of four small pictures, as users have them: one folder a class."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for label in ("cat", "dog", "owl"):
        (root / label).mkdir()
        for k in range(4):
            coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
            coarse.resize((100, 80), Image.Resampling.BICUBIC).save(root / label / f"{k}.jpg")
    return root


def seeded(make):
    with torch.random.fork_rng():
        torch.set_rng_state(torch.Generator().manual_seed(0).get_state())
        return make()


def judged(evalsuite, out, *options):
    ended = evalsuite(
        "sweep",
        *options,
        *("--out", out, "--ratios", "0.3,0.6", "--examples", "9", "--margin", "0.2", "--json"),
        *("--tasks", "clean,noise/gaussian/0.1,corruption/fog/3,corruption/jpeg_compression/3"),
        *("--tasks", "adversarial/linf/0.01?attack=pgd,certified/l2/0.1?n0=4&n=20"),
        *("--examples-for", "certified=2", "--accept-parent"),  # its weights are random
    )
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert (out / "report.html").exists()
    assert {n["role"] for n in result["networks"]} == {"parent", "pruned"}
    assert all(cell["n"] for cell in result["cells"])
    return {n["id"]: n for n in result["networks"]}


def test_torchvision_resnet18_with_a_folder_of_images(evalsuite, photos, tmp_path):
    network = seeded(lambda: torchvision.models.resnet18(num_classes=3))
    torch.save(network.state_dict(), tmp_path / "resnet18.pt")
    networks = judged(
        evalsuite,
        tmp_path / "run",
        *("--ckpt", tmp_path / "resnet18.pt", "--arch", "torchvision:resnet18", "--data", f"folder:{photos}?size=32"),
        *("--pruner", "magnitude,filter-norm"),
    )
    assert networks["parent"]["parameters"] == 11_178_051  # 11 689 512 of the original, with 3 classes for 1000
    assert networks["magnitude-0-0.6"]["prune_ratio"] == pytest.approx(0.6, abs=1e-6)
    small = networks["filter_norm-0-0.6"]
    assert small["prune_ratio"] == pytest.approx(0.6, abs=0.01)
    assert small["dense_flops"] < 0.6 * networks["parent"]["dense_flops"]


def test_timm_vit(evalsuite, photos, tmp_path):
    timm = pytest.importorskip("timm", reason="timm is an optional extra")
    # of 36 patches instead of 196: the network takes images of the size that the data have
    network = seeded(lambda: timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=96))
    torch.save(network.state_dict(), tmp_path / "vit.pt")
    networks = judged(
        evalsuite,
        tmp_path / "run",
        *("--ckpt", tmp_path / "vit.pt", "--arch", "timm:vit_tiny_patch16_224", "--data", f"folder:{photos}?size=96"),
        *("--pruner", "magnitude,filter-norm"),
    )
    assert networks["magnitude-0-0.6"]["prune_ratio"] == pytest.approx(0.6, abs=1e-6)
