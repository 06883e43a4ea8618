"""Architectures of the user's own code: every command, and going on after an interruption."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from evalsuite.networks.checkpoints.checkpoint import read

pytestmark = pytest.mark.slow

SOURCE = """
from torch import nn


def small(classes=10, channels=1, width=6):
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(4 * width, classes),
    )
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mynets.py").write_text(SOURCE)
    return tmp_path


def evalsuite(folder: Path, *arguments: object, codes: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    # a process of its own: modules of the user's are imported from where they work
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "evalsuite", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode in codes, ended.stderr
    return ended


SWEEP = ("--ratios", "0.5,0.8", "--tasks", "clean", "--examples", "60", "--threads", "1", "--margin", "0.2")
UNTRAINED = "--accept-parent"


@pytest.mark.timeout(900)
def test_from_training_to_the_gate(folder: Path) -> None:
    arch, ckpt = ("--arch", "mynets:small?width=8"), folder / "net.safetensors"
    evalsuite(folder, "train", *arch, "--data", "digits", "--epochs", 5, "--out", ckpt)
    controls = ("--retrain", "standard", "--epochs", 1, "--controls", "shuffled,scratch")
    evalsuite(folder, "sweep", "--ckpt", ckpt, *arch, *SWEEP, *controls, "--out", "run")
    results = json.loads((folder / "run" / "results.json").read_text())
    assert results["complete"]
    ids = [network["id"] for network in results["networks"]]
    assert [name for name in ids if name.endswith(("parent", "0.8"))] == [
        "parent",
        "magnitude-0-0.8",
        "shuffled-magnitude-0-0.8",
        "scratch-magnitude-0-0.8",
    ]
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "run" / "networks").iterdir()}
    again = evalsuite(folder, "sweep", "--ckpt", ckpt, *arch, *SWEEP, *controls, "--out", "run")
    # code may have changed, so nothing is taken for done unseen; what is there is found all the same
    assert "nothing to do" not in again.stderr
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "run" / "networks").iterdir()} == before
    evalsuite(folder, "prune", "--ckpt", ckpt, *arch, "--ratios", "0.5,0.8", "--out", "pruned")
    made = folder / "pruned" / "networks" / "magnitude-0-0.8.safetensors"
    options = ("--tasks", "clean", "--examples", "60", "--threads", "1", "--margin", "0.2")
    evalsuite(folder, "evaluate", "--parent", ckpt, "--candidates", made, *arch, *options, "--out", "judged")
    judged = json.loads((folder / "judged" / "results.json").read_text())
    assert judged["networks"][1]["prune_ratio"] == pytest.approx(0.8, abs=0.01)
    (folder / "policy.toml").write_text('[policy]\nname = "release"\nmin_deployable = 0.5\nmargin = 0.2\n')
    judged_by = evalsuite(folder, "gate", "run", "--policy", "policy.toml", codes=(0, 1, 3))
    assert "gate: " in judged_by.stdout
    evalsuite(folder, "report", "run")
    assert (folder / "run" / "report.html").is_file()


@pytest.mark.timeout(900)
def test_a_run_that_was_cut_off_goes_on(folder: Path) -> None:
    sys.path.insert(0, str(folder))
    try:
        import mynets

        torch.save(mynets.small().state_dict(), folder / "net.pt")
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("mynets", None)
    command = ("--ckpt", "net.pt", "--arch", "mynets:small", "--data", "digits", UNTRAINED, *SWEEP)
    evalsuite(folder, "sweep", *command, "--out", "whole")
    evalsuite(folder, "prune", *command[:7], "--ratios", "0.5,0.8", "--out", "torn")
    # as if it had been stopped before its second network
    (folder / "torn" / "networks" / "magnitude-0-0.8.safetensors").unlink()
    kept = (folder / "torn" / "networks" / "magnitude-0-0.5.safetensors").stat().st_mtime_ns
    evalsuite(folder, "sweep", *command, "--out", "torn")
    whole, torn = (json.loads((folder / run / "results.json").read_text()) for run in ("whole", "torn"))
    assert [n["digest"] for n in torn["networks"]] == [n["digest"] for n in whole["networks"]]
    assert (folder / "torn" / "networks" / "magnitude-0-0.5.safetensors").stat().st_mtime_ns == kept


def test_a_file_that_names_code_is_not_read_without_being_asked_to(folder: Path) -> None:
    from evalsuite.errors import RefusedInputError

    evalsuite(folder, "train", "--arch", "mynets:small", "--data", "digits", "--epochs", 1, "--out", "net.safetensors")
    with pytest.raises(RefusedInputError, match="expected --arch mynets:small"):
        read(folder / "net.safetensors")
