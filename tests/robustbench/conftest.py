"""RobustBench's model zoo as evalsuite imports it, and networks of it with random weights, saved as it saves them."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

DATASET = "cifar10"


@pytest.fixture(scope="session")
def zoo() -> ModuleType:
    from evalsuite.networks.architectures._robustbench import zoo

    return zoo()


@pytest.fixture
def images() -> Tensor:
    """(40, 3, 32, 32): patches of eight pixels, so that neighbours agree as in photographs."""
    coarse = torch.rand(40, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    return nn.functional.interpolate(coarse, (32, 32))


@pytest.fixture
def saved(zoo: ModuleType, tmp_path: Path, images: Tensor) -> Callable[[str, str], Path]:
    """Writes the checkpoint of a network of the zoo, with random weights, to where `load_model` looks for it.

    As published files are: below "state_dict", names behind DataParallel's "module.", without the constants by which
    the network normalises.
    """
    enums = import_module("robustbench.model_zoo.enums")

    def write(name: str, threat: str) -> Path:
        entry = zoo.model_dicts[enums.BenchmarkDataset(DATASET)][enums.ThreatModel(threat)][name]
        with torch.random.fork_rng():
            torch.random.default_generator.manual_seed(7)
            network = entry["model"]()
        with torch.no_grad():
            network.train()(images)  # statistics that no constructor sets
        tensors = {
            f"module.{key}": tensor for key, tensor in network.state_dict().items() if key not in {"mu", "sigma"}
        }
        path = tmp_path / "models" / DATASET / threat / f"{name}.pt"
        path.parent.mkdir(parents=True)
        torch.save({"epoch": 3, "state_dict": tensors}, path)
        return path

    return write


@pytest.fixture
def offline(zoo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched: RobustBench's way to its weights ends in an error."""
    del zoo
    utils = import_module("robustbench.utils")

    def refuse(*_: object) -> None:
        raise AssertionError("expected the file beside the test, got a download")

    monkeypatch.setattr(utils, "download_gdrive_new", refuse)
    monkeypatch.setattr(utils, "download_gdrive", refuse)
