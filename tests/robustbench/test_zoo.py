"""Networks of the model zoo by name: built, read from files, and judged as RobustBench itself judges them."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from evalsuite.errors import UsageError
from evalsuite.networks.architectures.by_name import build, convention
from evalsuite.networks.checkpoints.checkpoint import read

pytestmark = pytest.mark.robustbench

# the smallest of each kind: PreActResNet-18, WRN-28-4, WRN-40-2, ResNeXt-29
SMALL = (
    ("Wong2020Fast", "Linf"),
    ("Ding2020MMA", "L2"),
    ("Hendrycks2020AugMix_WRN", "corruptions"),
    ("Hendrycks2020AugMix_ResNeXt", "corruptions"),
)
# with timm 1.0.9 their names are unknown; the last asks for a GPU when it is built
BROKEN = {
    "Debenedetti2022Light_XCiT-S12",
    "Debenedetti2022Light_XCiT-M12",
    "Debenedetti2022Light_XCiT-L12",
    "Bai2023Improving_edm",
}


@pytest.mark.parametrize(("name", "threat"), SMALL)
def test_architectures_are_built_by_name(zoo: ModuleType, name: str, threat: str) -> None:
    enums = import_module("robustbench.model_zoo.enums")
    built = build(f"robustbench:{name}@cifar10/{threat}", classes=10, channels=3, image_size=32).eval()
    theirs = zoo.model_dicts[enums.BenchmarkDataset.cifar_10][enums.ThreatModel(threat)][name]["model"]()
    shapes = [{key: tensor.shape for key, tensor in each.state_dict().items()} for each in (built, theirs)]
    assert shapes[0] == shapes[1]
    with torch.no_grad():
        assert built(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    assert convention(f"robustbench:{name}@cifar10/{threat}").shape == (3, 32, 32)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_what_it_cannot_build_is_a_line(zoo: ModuleType, name: str) -> None:
    del zoo
    if torch.cuda.is_available() and name.startswith("Bai"):
        pytest.skip("there is a GPU")
    with pytest.raises(UsageError, match=f"robustbench:{name}@cifar10/Linf cannot be built here: "):
        build(f"robustbench:{name}@cifar10/Linf", classes=10, channels=3, image_size=32)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(("name", "threat"), SMALL)
def test_checkpoints_are_read_as_it_reads_them(
    saved: Callable[[str, str], Path], images: Tensor, name: str, threat: str
) -> None:
    path = saved(name, threat)
    theirs = import_module("robustbench.utils").load_model(
        name, model_dir=path.parents[2], dataset="cifar10", threat_model=threat
    )
    ours = read(path, arch=f"robustbench:{name}@cifar10/{threat}")
    assert (ours.class_count, ours.shape) == (10, (3, 32, 32))
    with torch.no_grad():
        assert torch.equal(ours.network(images[:8]), theirs(images[:8]))


@pytest.mark.usefixtures("offline")
def test_a_checkpoint_is_judged_as_it_judges_it(
    saved: Callable[[str, str], Path], images: Tensor, tmp_path: Path
) -> None:
    name, threat = "Hendrycks2020AugMix_WRN", "corruptions"
    path = saved(name, threat)
    utils = import_module("robustbench.utils")
    theirs = utils.load_model(name, model_dir=path.parents[2], dataset="cifar10", threat_model=threat)
    with torch.no_grad():
        labels = theirs(images).argmax(1)
    labels[::3] = (labels[::3] + 1) % 10  # a third is wrong
    np.savez(tmp_path / "data.npz", x_test=images.numpy(), y_test=labels.numpy(), classes=np.arange(10).astype(str))
    command = (
        *("evaluate", "--parent", path, "--arch", f"robustbench:{name}@cifar10/{threat}"),
        *("--data", f"npz:{tmp_path / 'data.npz'}", "--tasks", "clean", "--out", tmp_path / "run"),
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "evalsuite", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert ended.returncode == 0, ended.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    (cell,) = [cell for cell in results["cells"] if cell["measure"] == "error"]
    assert cell["n"] == 40
    assert cell["loss"] == pytest.approx(1 - utils.clean_accuracy(theirs, images, labels), abs=1e-6)
    assert 0.3 < cell["loss"] < 0.4


def test_doctor_says_that_it_works() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "evalsuite", "doctor", "--json"], capture_output=True, text=True, check=True, timeout=900
    )
    checks = {check["what"]: (check["state"], check["says"]) for check in json.loads(ended.stdout)["checks"]}
    assert checks["robustbench"] == ("ok", "1.1.1")
