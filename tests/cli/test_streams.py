"""Real processes whose output nobody reads, cannot be written, or was closed: exit codes stay what they would be."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PASSES = '[policy]\nnetwork = "magnitude-0-0.5"\n[[require]]\ntask = "clean"\nmax_loss = 1.0\n'
FAILS = '[policy]\nname = "hard"\n[[require]]\ntask = "clean"\nmax_loss = 0.001\n'
LACKS = '[policy]\nname = "absent"\n[[require]]\ntask = "adversarial/*"\nmin_commensurate = 0.1\n'


@pytest.fixture(scope="module")
def run(checkpoint, tmp_path_factory):
    """A folder with a finished run and three policies."""
    folder = tmp_path_factory.mktemp("streams")
    for name, text in (("passes", PASSES), ("fails", FAILS), ("lacks", LACKS)):
        (folder / f"{name}.toml").write_text(text)
    (folder / "model.safetensors").write_bytes(checkpoint.read_bytes())
    options = "--ckpt model.safetensors --out run --ratios 0.5 --tasks clean --examples 60 --margin 0.9"
    ended = shell(folder, f"sweep {options}")
    assert ended.returncode == 0, ended.stderr
    return folder


def shell(folder, arguments, behind=""):
    """What a shell makes of the command with something behind it."""
    environment = {**os.environ, "EVALSUITE": f"{sys.executable} -m evalsuite", "OMP_NUM_THREADS": "1"}
    line = f"set -o pipefail; $EVALSUITE {arguments} {behind}"
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


COMMANDS = [
    ("list --json", 0),
    ("list presets", 0),
    ("sweep --help", 0),
    ("show run --json", 0),
    ("show nothing/here", 2),
    ("status run", 0),
    ("report run --format json", 0),
    ("plan --ckpt model.safetensors --tasks clean --examples 60 --ratios 0.5 --no-time", 0),
    ("gate run --policy passes.toml", 0),
    ("gate run --policy fails.toml", 1),
    ("gate run --policy lacks.toml", 3),
    ("gate run --policy none.toml", 2),
    ("sweep --ckpt model.safetensors --out run --ratios 0.5 --tasks clean --examples 60 --margin 0.9 --json", 0),
]
# a reader that has gone before anything is written, one that reads a line, and nobody from the start
READERS = ["| true", "| head -n 1", ">&-", "2>&-", ">&- 2>&-", "2>&1 | true"]


@pytest.mark.parametrize(
    ("arguments", "code", "behind"),
    [
        (arguments, code, behind)
        for place, (arguments, code) in enumerate(COMMANDS)
        for reader, behind in enumerate(READERS)
        # every command with three of them, gates with all
        if arguments.startswith("gate") or (place + reader) % 2 == 0
    ],
)
def test_a_reader_that_goes_changes_nothing(run, arguments, code, behind):
    ended = shell(run, arguments, behind)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
    assert "Broken pipe" not in ended.stderr


@pytest.mark.parametrize(("arguments", "code"), COMMANDS)
def test_a_full_disk_is_no_verdict_and_no_bug(run, arguments, code):
    ended = shell(run, arguments, "> /dev/full")
    assert ended.returncode == 2, ended.stderr  # what was asked for could not be written
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
    if code != 2:
        assert ended.stderr.splitlines()[-1] == "evalsuite: stdout: No space left on device"


@pytest.mark.parametrize(("arguments", "code"), COMMANDS)
def test_messages_that_cannot_be_written_change_nothing(run, arguments, code):
    assert shell(run, arguments, "2> /dev/full").returncode == code


def test_what_is_read_is_whole_lines_of_the_whole(run):
    whole = shell(run, "list").stdout.splitlines()
    assert shell(run, "list", "| head -n 3").stdout.splitlines() == whole[:3]


@pytest.mark.parametrize(
    ("arguments", "option"),
    [("report run --out /dev/full/it", "--out"), ("gate run --policy passes.toml --junit /dev/full/it", "--junit")],
)
def test_a_file_that_cannot_be_written_is_told_in_one_line(run, arguments, option):
    ended = shell(run, arguments)
    assert ended.returncode == 2, ended.stderr
    (message,) = ended.stderr.splitlines()
    # it is there, and is no folder
    assert message == f"evalsuite: {option}: expected a place that can be written, got /dev/full/it (File exists)"


def test_what_a_users_module_asks_for_is_no_verdict(run):
    (run / "leaves.py").write_text("import sys\nsys.exit(1)\n")
    ended = shell(run, "plan --ckpt model.safetensors --data leaves:factory --no-time")
    assert ended.returncode not in {0, 1, 3}
