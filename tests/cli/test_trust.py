"""Files from anyone run no code: only what the user types names some."""

import os
import subprocess
import sys

import pytest

from evalsuite.networks.checkpoint import Checkpoint, write

FAST = ("--ratios", "0.5", "--tasks", "clean", "--examples", "20", "--accept-parent")


@pytest.fixture
def hostile(lenet, tmp_path, monkeypatch):
    """A working folder with a checkpoint whose header names code that lies beside it, and leaves a mark."""
    (tmp_path / "payload.py").write_text(
        "from pathlib import Path\nPath('pwned').touch()\n"
        "def run():\n    from evalsuite.data import load\n    return load('digits')\n"
    )
    digits = tuple(map(str, range(10)))
    checkpoint = Checkpoint(network=lenet, arch="lenet5", class_count=10, classes=digits, shape=(1, 8, 8), data="")
    for name, data in (("m", "payload:run"), ("elsewhere", "folder:/etc"), ("plain", "digits")):
        write(tmp_path / f"{name}.safetensors", Checkpoint(**{**vars(checkpoint), "data": data}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "payload", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("sweep", "--ckpt", "m.safetensors", *FAST, "--out", "run"),
        ("prune", "--ckpt", "m.safetensors", "--ratios", "0.5", "--out", "run"),
        ("plan", "--no-time", "--ckpt", "m.safetensors", *FAST),
        ("doctor", "--ckpt", "m.safetensors"),
        ("evaluate", "--parent", "m.safetensors", "--tasks", "clean", "--out", "run"),
        ("sweep", "--ckpt", "elsewhere.safetensors", *FAST, "--out", "run"),
    ],
)
def test_a_header_calls_nothing_and_reads_nothing_elsewhere(evalsuite, hostile, command):
    ended = evalsuite(*command)
    assert ended.code == 4, ended.err
    assert "--data payload:run" in ended.err or "--data folder:/etc" in ended.err
    assert not (hostile / "pwned").exists()
    assert not (hostile / "run" / "results.sqlite").exists()
    assert "payload" not in sys.modules


def test_in_a_process_of_its_own(hostile):
    command = [sys.executable, "-m", "evalsuite", "sweep", "--ckpt", "m.safetensors", *FAST, "--out", "run"]
    paths = os.pathsep.join(filter(None, [str(hostile), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": paths}
    ended = subprocess.run(command, cwd=hostile, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 4, ended.stderr
    assert not (hostile / "pwned").exists()


def test_what_the_user_types_is_called(evalsuite, hostile):
    ended = evalsuite("sweep", "--ckpt", "m.safetensors", "--data", "payload:run", *FAST, "--out", "run")
    assert ended.code == 0, ended.err
    assert (hostile / "pwned").exists()
    # the networks that were made of it name it too, and are read as what they are: files
    made = "run/networks/magnitude-0-0.5.safetensors"
    assert evalsuite("evaluate", "--parent", made, "--tasks", "clean", "--out", "alone").code == 4
    judged = ("evaluate", "--parent", "m.safetensors", "--candidates", made, "--tasks", "clean", "--examples", "20")
    ended = evalsuite(*judged, "--data", "payload:run", "--accept-parent", "--out", "judged")
    assert ended.code == 0, ended.err
    ended = evalsuite("sweep", "--config", "run/run.toml")
    assert ended.code == 0, ended.err


def test_a_candidate_calls_nothing(evalsuite, hostile):
    typed = ("evaluate", "--parent", "plain.safetensors", "--candidates", "m.safetensors", "--tasks", "clean")
    ended = evalsuite(*typed, "--examples", "20", "--accept-parent", "--out", "run")
    assert ended.code == 0, ended.err  # its header's data are not asked for
    assert not (hostile / "pwned").exists()
