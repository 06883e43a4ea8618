"""Files from anyone run no code: only what the user types names some."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from evalsuite.networks.checkpoints.checkpoint import Checkpoint, read, write

pytestmark = pytest.mark.slow

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


def test_a_store_of_others_calls_nothing(evalsuite, hostile):
    typed = ("evaluate", "--parent", "plain.safetensors", "--tasks", "clean", "--examples", "20", "--out", "run")
    assert evalsuite(*typed).code == 0
    (hostile / "policy.toml").write_text('[policy]\nname = "r"\n[[require]]\ntask = "clean"\nmax_loss = 1.0\n')
    with contextlib.closing(sqlite3.connect("run/results.sqlite")) as database, database:
        for key, value in (("measures", ["payload:run", "payload"]), ("complete", False)):
            database.execute("UPDATE meta SET value = ? WHERE key = ?", (json.dumps(value), key))
        for key, field in (("data", "name"), ("parent", "arch")):
            (facts,) = database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
            named = json.dumps({**json.loads(facts), field: "payload:run"})
            database.execute("UPDATE meta SET value = ? WHERE key = ?", (named, key))
    for command in (("report",), ("gate", "--policy", "policy.toml"), ("show",), ("status",)):
        ended = evalsuite(command[0], "run", *command[1:])
        # `show` tells what results.json says, which nobody touched
        assert ended.code in ({0} if command[0] == "show" else {2, 3, 4}), ended.err
        assert not (hostile / "pwned").exists()


# --- what others are shown


def texts(run):
    return {file: (run / file).read_text() for file in ("results.json", "report.html", "junit.xml")}


def test_results_say_nothing_of_where_files_lie(evalsuite, checkpoint, tmp_path):
    """The same by every way out; a run that is asked to tell it does."""
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    private = tmp_path / "of alice"
    private.mkdir()
    for name in ("held", "night"):
        np.savez(private / f"{name}.npz", x_test=images if name == "held" else 255 - images, y_test=np.arange(40) % 10)
    policy = private / "policy.toml"
    policy.write_text(
        f'[policy]\nname = "release"\nassumptions = ["*"]\n[[require]]\ntask = "shift/npz?at={private}/night.npz"\n'
        "max_loss = 1.0\n"
    )
    data = ("--data", f"npz:{private}/held.npz", "--tasks", f"clean,shift/npz?at={private}/night.npz")
    out = private / "run"
    typed = ("evaluate", "--parent", checkpoint, "--candidates", checkpoint, *data, "--accept-parent", "--out", out)
    ended = evalsuite(*typed, "--gate", policy, "--shipped", f"lenet5={checkpoint}", "--json")
    assert ended.code in {0, 1, 3}, ended.err
    hidden = (str(private), str(tmp_path), str(checkpoint.parent), "alice")
    for file, text in texts(out).items():
        for path in hidden:
            assert path not in text, file
    results = json.loads((out / "results.json").read_text())
    assert [task["name"] for task in results["tasks"]] == ["clean", "shift/npz?at=.../night.npz"]
    assert results["data"]["name"] == "npz:.../held.npz"
    assert results["shipped"][0]["file"] == ".../lenet5.safetensors"
    shown = (*("report", out, "--format", "json"), *("report", out, "--format", "markdown"), *("show", out, "--json"))
    for command in (shown[:4], shown[4:8], shown[8:]):
        ended = evalsuite(*command)
        assert ended.code == 0, ended.err
        assert not any(path in ended.out for path in hidden[2:])
    # a policy may name the task as it was typed, and images of it stand in the report
    assert '"outcome": "pass"' in evalsuite("gate", out, "--policy", policy, "--json").out
    assert (out / "report.html").read_text().count("data:image/png") >= 2
    full = evalsuite(*typed, "--shipped", f"lenet5={checkpoint}", "--full-paths")
    assert full.code == 0, full.err
    results = json.loads((out / "results.json").read_text())
    assert results["data"]["name"] == f"npz:{private}/held.npz"
    assert results["tasks"][1]["name"] == f"shift/npz?at={private}/night.npz"
    assert results["shipped"][0]["file"] == str(checkpoint)


def test_networks_say_nothing_of_where_data_lie(lenet, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for place, message in (("elsewhere", "npz:.../held.npz"), ("work", "npz:held.npz")):
        data = f"npz:{tmp_path}/{place}/held.npz"
        write(
            tmp_path / "net.safetensors",
            Checkpoint(network=lenet, arch="lenet5", class_count=10, shape=(1, 8, 8), data=data),
        )
        assert str(tmp_path).encode() not in (tmp_path / "net.safetensors").read_bytes()
        assert read(tmp_path / "net.safetensors").data == message
