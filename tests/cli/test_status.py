"""`status`, `report` and `show` of a run that another process works on, of a killed one, and of one that never was."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from evalsuite.records.store import opened

pytestmark = pytest.mark.slow

SWEEP = (
    *("--ratios", "0.3,0.5,0.7,0.9", "--retrain", "standard", "--epochs", "40", "--schedule", "cascade"),
    *("--tasks", "clean,noise/uniform/0.1", "--examples", "60"),
)


@pytest.fixture(autouse=True)
def interruptible():
    """A shell lets what it starts in the background ignore interruptions, and that is handed on to every child."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def start(checkpoint, tmp_path):
    """A sweep in a process of its own."""
    begun = []

    def run(*options):
        command = [
            sys.executable,
            "-m",
            "evalsuite",
            "sweep",
            "--ckpt",
            checkpoint,
            "--out",
            tmp_path / "run",
            *options,
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        begun.append(subprocess.Popen(list(map(str, command)), env=environment, stderr=subprocess.DEVNULL))
        return begun[-1]

    yield run
    for process in begun:
        process.kill()
        process.wait()


def until(requested, wanted, seconds=240):
    """What `asked` gives once `wanted` is true of it."""
    deadline = time.monotonic() + seconds
    while not wanted(result := requested()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert wanted(result), result
    return result


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "progress.json"}


@pytest.fixture
def status(evalsuite, tmp_path):
    def document():
        ended = evalsuite("status", tmp_path / "run", "--json")
        return json.loads(ended.out) if ended.out else {"stage": "", "code": ended.code}

    return document


def test_a_working_run_says_where_it_is(evalsuite, start, status, tmp_path):
    process = start(*SWEEP)
    run = tmp_path / "run"
    outcome = until(status, lambda outcome: outcome["stage"] == "retraining" and outcome.get("seconds_left"))
    assert outcome["process"]["id"] == process.pid
    assert outcome["process"]["state"] == "working"
    assert outcome["process"]["seconds_since_last_word"] < 60
    assert outcome["network"].startswith("magnitude-0-0.")
    assert 1 <= outcome["epoch"] <= outcome["epochs"] == 40
    assert outcome["examples_per_second"] > 0
    assert 0 < outcome["share"] < 1
    assert not outcome["complete"]
    text = evalsuite("status", run)
    assert text.code == 3
    assert all(piece in text.out for piece in ("retraining", "examples/s", "left", f"process {process.pid}", "epoch"))
    # there is nothing to report yet, and that is no crash and no lock
    for command in (("report", run), ("show", run)):
        ended = evalsuite(*command)
        assert ended.code == 3, ended.err
        assert "no networks yet" in ended.err
    assert process.poll() is None


def test_watching_ends_with_the_run(evalsuite, start, status, tmp_path):
    start("--ratios", "0.5", "--tasks", "clean", "--examples", "60", "--margin", "0.9")
    until((tmp_path / "run" / "progress.json").exists, bool)
    ended = evalsuite("status", tmp_path / "run", "--watch", "--json")
    assert ended.code == 0, ended.err
    actual = json.loads(ended.out)  # one document
    assert actual["complete"]
    assert actual["stage"] == "finished"
    assert all(row["done"] == row["planned"] > 0 for row in actual["tasks"])


def test_watching_is_stopped_like_everything(start, status, tmp_path):
    start(*SWEEP)
    until(status, lambda computed: computed["stage"] == "retraining")
    command = [sys.executable, "-m", "evalsuite", "status", str(tmp_path / "run"), "--watch"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert watching.stdout is not None
    watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    watching.communicate()
    assert watching.returncode == 130


@pytest.mark.parametrize(
    ("how", "stage"), [(signal.SIGKILL, "killed"), (signal.SIGTERM, "interrupted (exit code 143)")]
)
def test_a_run_that_was_stopped(evalsuite, start, status, tmp_path, how, stage):
    process = start(*SWEEP)
    until(status, lambda result: result["stage"] == "retraining")
    process.send_signal(how)
    process.communicate()
    result = status()
    assert result["stage"] == stage
    assert not result["complete"]
    before = content(tmp_path)
    ended = evalsuite("status", tmp_path / "run", "--watch")  # nothing to wait for
    assert ended.code == 3
    assert f"process {process.pid}" in ended.out
    assert "continues it" in ended.out
    assert content(tmp_path) == before


def test_the_page_of_a_run_that_another_process_works_on(evalsuite, checkpoint, tmp_path):
    run = tmp_path / "run"
    options = ("--ckpt", checkpoint, "--out", run, "--ratios", "0.5", "--tasks", "clean", "--examples", 60)
    assert evalsuite("sweep", *options, "--margin", 0.9).code == 0
    (run / "report.html").unlink()
    (run / "results.json").unlink()
    before = content(run)
    with opened(run):
        ended = evalsuite("report", run)
        shown = evalsuite("show", run)
    assert ended.code == shown.code == 0, ended.err
    assert "a process works on this run; the report shows what is there so far" in ended.err
    # results.json is the working process's to write
    assert content(run).keys() - before.keys() == {run / "report.html"}
    assert evalsuite("report", run).code == 0
    assert (run / "results.json").exists()


def test_the_last_error_is_shown(evalsuite, checkpoint, tmp_path):
    run = tmp_path / "run"
    options = ("--ckpt", checkpoint, "--out", run, "--tasks", "clean", "--examples", 60, "--ratios", "0.5,0.9")
    ended = evalsuite("sweep", *options, "--retrain", "standard?learning_rate=1e30", "--epochs", 1)
    assert ended.code == 2
    shown = evalsuite("status", run)
    assert "stopped (exit code 2)" in shown.out
    assert "last error: expected a finite training loss" in shown.out


def test_a_folder_of_networks_alone(evalsuite, checkpoint, tmp_path):
    assert evalsuite("prune", "--ckpt", checkpoint, "--out", tmp_path / "made", "--ratios", "0.5").code == 0
    ended = evalsuite("status", tmp_path / "made", "--json")
    assert ended.code == 3, ended.err
    assert json.loads(ended.out)["networks"] == 2


def test_no_run(evalsuite, tmp_path):
    ended = evalsuite("status", tmp_path)
    assert ended.code == 2
    assert "expected a run folder" in ended.err
    assert not list(tmp_path.iterdir())


def test_reading_a_finished_run_changes_nothing(evalsuite, checkpoint, tmp_path):
    run = tmp_path / "run"
    options = ("--ckpt", checkpoint, "--out", run, "--ratios", "0.5", "--tasks", "clean", "--examples", 60)
    assert evalsuite("sweep", *options, "--margin", 0.9).code == 0
    for path in run.rglob("*.lock"):
        path.unlink()
    before = content(run)
    for command in (
        ("status", run),
        ("show", run),
        ("report", run, "--format", "markdown"),
        ("report", run, "--format", "json"),
        ("report", run, "--out", tmp_path / "page.html"),
    ):
        assert evalsuite(*command).code == 0
    assert content(run) == before
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
