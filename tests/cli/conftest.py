"""Runs the command line in this process: exit code, stdout and stderr as a shell would see them."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from evalsuite.cli import cli
from evalsuite.cli._console import guarded
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, write

# the hostile files lie beside the tests
sys.path.insert(0, str(Path(__file__).parent))


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def evalsuite(monkeypatch, capsys) -> Callable[..., Ended]:
    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["evalsuite", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            guarded(cli)
        captured = capsys.readouterr()
        return Ended(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, lenet):
    """Evalsuite's own file of that network."""
    network = lenet
    path = tmp_path_factory.mktemp("checkpoint") / "lenet5.safetensors"
    digits = tuple(map(str, range(10)))
    write(
        path,
        Checkpoint(network=network, arch="lenet5", class_count=10, classes=digits, shape=(1, 8, 8), data="digits"),
    )
    return path


@pytest.fixture(scope="session")
def state_dict(tmp_path_factory, lenet):
    """A plain state dict of the same network, which does not tell its normalisation."""
    path = tmp_path_factory.mktemp("state") / "lenet5.pt"
    torch.save(lenet.network.state_dict(), path)
    return path
