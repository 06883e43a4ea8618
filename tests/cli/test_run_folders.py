"""Run folders from outside: what stands in them is kept, what is broken is told, the same command goes on."""

import ctypes
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys

import pytest

from evalsuite.cli import cli
from evalsuite.cli._console import guarded
from evalsuite.records.packing import pack, unpack
from evalsuite.records.store import opened

pytestmark = pytest.mark.slow

TIMES = {"seconds", "created", "latency_ms", "throughput_ms", "command", "id", "results"}
SWEEP = ("--ratios", "0.5", "--tasks", "clean", "--examples", 60, "--margin", 0.9)
POLICY = '[policy]\nnetwork = "magnitude-0-0.5"\n[[require]]\ntask = "clean"\nmax_loss = 1.0\n'


def timeless(value):
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def results(run):
    return timeless(json.loads((run / "results.json").read_text()))


def content(folder):
    """Of everything below a folder, itself included: what it is, holds, and when it was changed."""
    paths = (folder, *folder.rglob("*"))
    return {
        path: (path.lstat().st_mode, path.lstat().st_mtime_ns, stat.S_ISREG(path.lstat().st_mode) and path.read_bytes())
        for path in paths
    }


@pytest.fixture(scope="module")
def finished(checkpoint, tmp_path_factory):
    """A finished run, and a policy that it passes."""
    folder = tmp_path_factory.mktemp("finished")
    command = ("evalsuite", "sweep", "--ckpt", checkpoint, "--out", folder / "run", *SWEEP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(map(str, command)))
        with pytest.raises(SystemExit) as ended:
            guarded(cli)
    assert ended.value.code == 0
    (folder / "policy.toml").write_text(POLICY)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it that may be broken."""
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path / "run"


def one_line(ended, code, *pieces):
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.err
    last = ended.err.splitlines()[-1]
    assert last.startswith("evalsuite: ")
    assert all(piece in last for piece in pieces), last


def test_results_that_were_cut_short_are_made_again_from_the_store(evalsuite, checkpoint, finished, run):
    whole = (run / "results.json").read_bytes()
    for cut in (whole[:300], b"", b"\xff\xfe"):
        (run / "results.json").write_bytes(cut)
        ended = evalsuite("sweep", "--ckpt", checkpoint, "--out", run, *SWEEP)
        assert ended.code == 0, ended.err
        assert results(run) == results(finished / "run")


def test_what_a_process_left_at_its_very_end_is_cleared(evalsuite, checkpoint, run):
    (run / ".progress.json.0a1b2c3d.partial").write_text("half")
    ended = evalsuite("sweep", "--ckpt", checkpoint, "--out", run, *SWEEP)
    assert ended.code == 0
    assert "finished before, nothing to do" in ended.err
    assert not list(run.glob(".*"))


def test_a_store_that_is_damaged_inside(evalsuite, checkpoint, finished, run):
    store = run / "results.sqlite"
    whole = store.read_bytes()
    store.write_bytes(whole[:8192] + b"\xa5" * (len(whole) - 8192))
    for command in (("sweep", "--ckpt", checkpoint, "--out", run, *SWEEP), ("report", run), ("status", run)):
        one_line(evalsuite(*command), 4, str(store), "damaged inside", "move the file away")
    store.rename(run.parent / "away")
    assert evalsuite("sweep", "--ckpt", checkpoint, "--out", run, *SWEEP).code == 0
    assert results(run) == results(finished / "run")


@pytest.mark.parametrize("has_results", [True, False])
def test_observations_that_are_damaged_are_computed_again(evalsuite, checkpoint, finished, run, has_results):
    with sqlite3.connect(run / "results.sqlite") as database:
        database.execute("UPDATE shards SET observations = x'00'")
    database.close()
    if not has_results:
        (run / "results.json").unlink()
    sweep = ("sweep", "--ckpt", checkpoint, "--out", run, *SWEEP)
    one_line(evalsuite(*sweep), 4, "damaged", "the same command computes them again")
    assert evalsuite(*sweep).code == 0
    assert results(run) == results(finished / "run")


def test_one_that_is_damaged_does_not_hide_another_that_was_edited(evalsuite, checkpoint, run):
    sweep = ("sweep", "--ckpt", checkpoint, "--out", run, *SWEEP)
    with sqlite3.connect(run / "results.sqlite") as database:
        kept, other = (name for (name,) in database.execute("SELECT DISTINCT network FROM shards ORDER BY 1"))
        (data,) = database.execute("SELECT observations FROM shards WHERE network=?", (kept,)).fetchone()
        edited = {name: column[::-1].copy() for name, column in unpack(data).items()}
        assert pack(edited) != data
        database.execute("UPDATE shards SET observations=? WHERE network=?", (pack(edited), kept))
        database.execute("UPDATE shards SET observations=x'00' WHERE network=?", (other,))
    database.close()
    one_line(evalsuite(*sweep), 4, "damaged", "the same command computes them again")
    for _ in range(2):
        ended = evalsuite(*sweep)
        assert ended.code == 4
        assert "got other evidence: more was changed" in ended.err
        assert not (run / "results.json").exists()


@pytest.mark.parametrize("command", ["sweep", "prune", "evaluate", "demo"])
def test_a_folder_of_the_users_is_refused_before_any_work(evalsuite, checkpoint, tmp_path, command):
    out = tmp_path / "mine"
    (out / "networks").mkdir(parents=True)
    for name in ("report.html", "run.toml", ".notes.partial", "networks/mine.pt"):
        (out / name).write_text("mine")
    before = content(out)
    named = {"evaluate": ("--parent", checkpoint), "demo": ()}.get(command, ("--ckpt", checkpoint))
    ended = evalsuite(command, *named, "--out", out)
    one_line(ended, 2, "--out: expected a new or empty folder", "'networks', 'report.html'", "choose another")
    assert "Reading" not in ended.err
    assert "Training" not in ended.err
    assert content(out) == before


@pytest.mark.parametrize("command", ["sweep", "prune", "evaluate", "demo"])
def test_a_file_is_no_folder(evalsuite, checkpoint, tmp_path, command):
    (tmp_path / "file").write_text("mine")
    named = {"evaluate": ("--parent", checkpoint), "demo": ()}.get(command, ("--ckpt", checkpoint))
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        one_line(evalsuite(command, *named, "--out", out), 2, "--out: expected a folder", str(out))
    assert (tmp_path / "file").read_text() == "mine"


def test_early_weights_are_not_written_over_another_file(evalsuite, tmp_path):
    (tmp_path / "x.early.safetensors").write_text("mine")
    ended = evalsuite(
        "train", "--arch", "lenet5", "--data", "digits", "--epochs", 1, "--out", tmp_path / "x.safetensors"
    )
    one_line(ended, 2, "x.early.safetensors", "left as it is")
    assert (tmp_path / "x.early.safetensors").read_text() == "mine"


def test_a_page_beside_results_is_not_written_over_another(evalsuite, run, tmp_path):
    (tmp_path / "downloads").mkdir()
    shutil.copy(run / "results.json", tmp_path / "downloads")
    page = tmp_path / "downloads" / "report.html"
    page.write_text("<p>mine")
    one_line(evalsuite("report", tmp_path / "downloads" / "results.json"), 2, str(page), "left as it is")
    assert page.read_text() == "<p>mine"
    assert evalsuite("report", tmp_path / "downloads" / "results.json", "--out", page).code == 0  # by its name
    assert "evalsuite" in page.read_text()


@pytest.mark.parametrize("name", ["results.sqlite", "results.sqlite.lock", "networks", "progress.json"])
def test_no_link_is_followed_out_of_a_run_folder(evalsuite, checkpoint, run, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    if name == "results.sqlite.lock":
        (run / name).write_text("mine")
    (run / name).rename(elsewhere)
    (run / name).symlink_to(elsewhere)
    before = content(tmp_path)
    sweep = ("sweep", "--ckpt", checkpoint, "--out", run, *SWEEP, "--amend", "--seed", 1)
    for command in (sweep, ("status", run), ("report", run)):
        one_line(evalsuite(*command), 4, name, "got a link", "nothing is followed out of a run folder")
    assert content(tmp_path) == before


def test_a_network_that_is_a_link_is_replaced_not_written_through(evalsuite, checkpoint, run, tmp_path):
    network = next((run / "networks").iterdir())
    network.rename(tmp_path / "target")
    network.symlink_to(tmp_path / "target")
    before = (tmp_path / "target").read_bytes()
    (run / "results.json").unlink()
    assert evalsuite("sweep", "--ckpt", checkpoint, "--out", run, *SWEEP).code == 0
    assert not network.is_symlink()
    assert (tmp_path / "target").read_bytes() == before


def readers(run, finished, elsewhere):
    """All that only reads a run."""
    return (
        ("status", run),
        ("status", run, "--json"),
        ("show", run),
        ("report", run, "--format", "markdown"),
        ("report", run, "--format", "json"),
        ("report", run, "--out", elsewhere / "page.html"),
        ("gate", run, "--policy", finished / "policy.toml", "--junit", elsewhere / "junit.xml"),
    )


def test_readers_write_nothing(evalsuite, checkpoint, finished, run, tmp_path):
    (run / ".results.json.0a1b2c3d.partial").write_text("half")  # somebody may be at work on it
    (run / "results.sqlite.lock").unlink()
    (tmp_path / "elsewhere").mkdir()
    before = content(run)
    plan = ("plan", "--ckpt", checkpoint, "--out", run, *SWEEP, "--no-time")
    for command in (*readers(run, finished, tmp_path / "elsewhere"), plan):
        ended = evalsuite(*command)
        assert ended.code == 0, ended.err
        assert content(run) == before, command


def without_privileges():
    """Root may write anywhere; what it executes from now on may not."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2):  # to pass over permissions to write, to read
        libc.prctl(24, capability, 0, 0, 0)


MANY = """
import sys, json
from evalsuite.cli import cli
from evalsuite.cli._console import guarded
for command in json.loads(sys.argv[1]):
    sys.argv = ["evalsuite", *command]
    try:
        guarded(cli)
    except SystemExit as end:
        print(f"ended {end.code}", file=sys.stderr, flush=True)
"""


def test_a_run_that_may_only_be_read(checkpoint, finished, run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    sweep = ("sweep", "--ckpt", checkpoint, *SWEEP, "--out")
    commands = (
        *readers(run, finished, tmp_path / "elsewhere"),
        (*sweep, run),  # finished before
        ("report", run),
        (*sweep, run, "--seed", 1, "--amend"),
        (*sweep, run / "below"),
        ("prune", "--ckpt", checkpoint, "--out", run),
        ("train", "--arch", "lenet5", "--data", "digits", "--out", run / "x.safetensors"),
    )
    before = content(run)
    for path in (run, *run.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", MANY, json.dumps([list(map(str, command)) for command in commands])],
            preexec_fn=without_privileges,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for path in (run, *run.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)
    lines = ended.stderr.splitlines()
    codes = [int(line.split()[1]) for line in lines if line.startswith("ended ")]
    assert codes == [0] * 8 + [2] * 5, ended.stderr
    message = [lines[place - 1] for place, line in enumerate(lines) if line == "ended 2"]
    assert message[0].endswith("report.html: Permission denied; --out FILE writes the report elsewhere")
    assert all("--out: expected a " in line and "(Permission denied)" in line for line in message[1:])
    assert {path: facts[2] for path, facts in content(run).items()} == {p: facts[2] for p, facts in before.items()}


@pytest.mark.parametrize("name", ["😀 run", "tab\tand\nline", "q'\"\\q", "del\x7f\x1b[31m", "$(x)`y`", "--out"])
def test_a_run_file_of_odd_paths_is_read_again(evalsuite, checkpoint, tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    model = tmp_path / name / f"{name}.safetensors"
    shutil.copy(checkpoint, model)
    monkeypatch.chdir(tmp_path / name)
    ended = evalsuite("sweep", "--ckpt", model, f"--out={tmp_path / name / 'run'}", *SWEEP)
    assert ended.code == 0, ended.err
    again = evalsuite("sweep", "--config", tmp_path / name / "run" / "run.toml")
    assert again.code == 0, again.err
    assert "finished before, nothing to do" in again.err


def test_a_path_that_is_no_text_is_refused_before_any_work(evalsuite, checkpoint, tmp_path):
    out = tmp_path / os.fsdecode(b"\xff run")
    one_line(evalsuite("sweep", "--ckpt", checkpoint, "--out", out, *SWEEP), 2, "--out", "written as text", "rename it")
    assert not out.exists()


def test_two_processes(evalsuite, checkpoint, run):
    before = content(run)
    with opened(run):
        ended = evalsuite("sweep", "--ckpt", checkpoint, "--out", run, *SWEEP, "--seed", 1, "--amend")
    one_line(ended, 2, "another evalsuite process works in this folder")
    assert set(content(run)) == set(before)
    assert (run / "results.json").read_bytes() == before[run / "results.json"][2]


@pytest.mark.parametrize(
    "options",
    [
        ("--seed", 2**70),
        ("--seeds", 2**70),
        *(("--ratios", each) for each in ("0.1:nan:0.1", "nan:0.5:0.1", "inf", "1e400", "0.1:0.9:1e400", "0:1:1e-9")),
        *(("--ratios", f"lottery:{each}") for each in ("9999999999", "9" * 5000, "0")),
        ("--threads", 100_000),
    ],
    ids=lambda options: "=".join(map(str, options))[:30],
)
def test_numbers_beyond_all_bounds(evalsuite, checkpoint, tmp_path, options):
    ended = evalsuite("sweep", "--ckpt", checkpoint, "--out", tmp_path / "run", *SWEEP, *options)
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err
    assert options[0] in ended.err.splitlines()[-1]
    assert "expected" in ended.err or "not in the range" in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", [("--seed", 2**70), ("--threads", 100_000)])
def test_numbers_beyond_all_bounds_to_train_with(evalsuite, tmp_path, option):
    ended = evalsuite("train", "--arch", "lenet5", "--data", "digits", "--out", tmp_path / "x.safetensors", *option)
    assert ended.code == 2, ended.err
    assert option[0] in ended.err.splitlines()[-1]
