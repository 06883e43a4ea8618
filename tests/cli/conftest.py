"""Runs the command line in this process: exit code, stdout and stderr as a shell would see them."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from evalsuite.cli import cli
from evalsuite.cli._console import guarded
from evalsuite.networks.checkpoint import Checkpoint, write
from evalsuite.networks.normalized import Normalized


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
def checkpoint(tmp_path_factory):
    """A LeNet for the digits, untrained."""
    from evalsuite.networks.architectures import build

    bare = build("lenet5", classes=10, channels=1, image_size=8, seed=0)
    network = Normalized(bare, (0.3,), (0.4,)).eval()
    path = tmp_path_factory.mktemp("checkpoint") / "lenet5.safetensors"
    digits = tuple(map(str, range(10)))
    write(
        path,
        Checkpoint(network=network, arch="lenet5", class_count=10, classes=digits, shape=(1, 8, 8), data="digits"),
    )
    return path


@pytest.fixture(scope="session")
def state_dict(tmp_path_factory):
    """A plain state dict of the same network."""
    from evalsuite.networks.architectures import build

    path = tmp_path_factory.mktemp("state") / "lenet5.pt"
    network: nn.Module = build("lenet5", classes=10, channels=1, image_size=8, seed=0)
    torch.save(network.state_dict(), path)
    return path
