"""What a process leaves behind of its work tells a working one from a dead one."""

import json
import os
import subprocess
import sys
import time

import pytest

from evalsuite.errors import RefusedInputError, TerminatedError, UsageError
from evalsuite.printable import printable
from evalsuite.progress import READING, Silent
from evalsuite.records import heartbeat
from evalsuite.records.heartbeat import FILE, recorded


def rewritten(folder, **changes):
    """The record, as another process or machine would have written it."""
    stored = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps({**stored, **changes}))
    result = heartbeat.read(folder)
    assert result is not None
    return result


def test_a_working_process_says_where_it_is(tmp_path):
    with recorded(Silent(), tmp_path) as reporter:
        reporter.start("Pruning", 4.0)
        reporter.work_on("magnitude-0-0.5")
        reporter.enter_epoch(2, 3)
        reporter.advance(1.0, "accuracy 90 %", 12.0, examples=50)
        reporter.finish()
        outcome = heartbeat.read(tmp_path)
        assert outcome is not None
        assert outcome.sign() == "working"
        assert outcome.process == os.getpid()
        position = outcome.position
        assert (position.stage, position.network, position.epoch, position.epochs) == (
            "Pruning",
            "magnitude-0-0.5",
            2,
            3,
        )
        assert position.share == 0.25
        assert position.left == pytest.approx(12, abs=1)
        assert position.rate is not None
        assert position.rate > 0
    assert heartbeat.read(tmp_path).sign() == "finished"
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_it_is_written_while_nothing_moves(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "_AT_REST", 0.05)
    with recorded(Silent(), tmp_path) as reporter:
        reporter.start("Pruning", 1.0)
        first = heartbeat.read(tmp_path)
        deadline = time.monotonic() + 20
        while heartbeat.read(tmp_path).updated == first.updated and time.monotonic() < deadline:
            time.sleep(0.05)
        later = heartbeat.read(tmp_path)
    assert later.updated > first.updated
    assert later.moved == first.moved


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("one\ntwo"), 2),
        (RefusedInputError("one"), 4),
        (ValueError("one"), 5),
        (KeyboardInterrupt("one"), 130),
        (TerminatedError("one"), 143),
    ],
)
def test_how_it_ended(tmp_path, error, code):
    def work():
        with recorded(Silent(), tmp_path) as reporter:
            reporter.start("Pruning", 1.0)
            raise error

    with pytest.raises(type(error)):
        work()
    actual = heartbeat.read(tmp_path)
    assert (actual.sign(), actual.exit_code, actual.error) == ("stopped", code, printable(f"{error}"))


def test_a_killed_process_is_told_from_a_working_one(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom evalsuite.records.heartbeat import recorded\n"
        "from evalsuite.progress import Silent\n"
        f"with recorded(Silent(), Path({str(tmp_path)!r})) as reporter:\n"
        "    reporter.start('Pruning', 1.0)\n    print('ready', flush=True)\n    time.sleep(300)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert heartbeat.read(tmp_path).sign() == "working"
    # a second process does not write over the record of the first
    with recorded(Silent(), tmp_path) as reporter:
        assert isinstance(reporter, Silent)
    assert heartbeat.read(tmp_path).process == process.pid
    process.kill()
    deadline = time.monotonic() + 60
    while heartbeat.read(tmp_path).sign() == "working" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert heartbeat.read(tmp_path).sign() == "killed"  # not waited for yet: a zombie does no work
    process.communicate()
    assert heartbeat.read(tmp_path).sign() == "killed"


def test_another_process_with_the_same_id_is_not_it(tmp_path):
    with recorded(Silent(), tmp_path):
        pass
    assert rewritten(tmp_path, state="working").sign() == "working"
    assert rewritten(tmp_path, born=1).sign() == "killed"


def test_of_another_machine_only_the_age_is_known(tmp_path):
    with recorded(Silent(), tmp_path):
        pass
    assert rewritten(tmp_path, state="working", host="elsewhere", process=1).sign() == "working"
    assert rewritten(tmp_path, updated=time.time() - 3600).sign() == "silent"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": "evalsuite-progress/99"}'])
def test_what_cannot_be_read_says_nothing(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    assert heartbeat.read(tmp_path) is None


@pytest.mark.parametrize(
    "changes",
    [
        *({"process": value} for value in (0, -1, 2**40, "1", None)),
        *({"updated": value} for value in (None, "now", 1e300, float("nan"))),
        *(
            {"host": 3},
            {"error": ["x"]},
            {"state": "elsewhere"},
            {"born": 1.5},
            {"exit_code": "0"},
            {"position": {"stage": 1}},
        ),
        *({"position": {"left": float("inf")}}, {"position": {"strange": 1}}, {"position": None}, {"strange": 1}),
    ],
)
def test_a_record_of_other_kinds_says_nothing(tmp_path, changes):
    with recorded(Silent(), tmp_path):
        pass
    stored = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**stored, **changes}))
    assert heartbeat.read(tmp_path) is None


def test_a_clock_that_goes_backwards(tmp_path):
    with recorded(Silent(), tmp_path):
        pass
    computed = rewritten(tmp_path, updated=time.time() + 3600, moved=time.time() + 3600)
    assert computed.sign() == "finished"
    assert computed.age() == 0


def test_what_is_refused_before_it_begins_leaves_nothing(tmp_path):
    folder = tmp_path / "reports" / "model"

    def refused():
        with recorded(Silent(), folder) as reporter:
            reporter.start(READING, 0.0)
            assert heartbeat.read(folder).position.stage == READING
            raise UsageError("no such file")

    with pytest.raises(UsageError, match="no such file"):
        refused()
    assert not (tmp_path / "reports").exists()
    with recorded(Silent(), folder) as reporter:
        reporter.start("Pruning", 1.0)
    before = (folder / FILE).read_bytes()
    with pytest.raises(UsageError, match="no such file"):
        refused()
    assert (folder / FILE).read_bytes() == before


def test_a_full_disk_stops_no_work(tmp_path, monkeypatch):
    with recorded(Silent(), tmp_path / "run") as reporter:
        (tmp_path / "run" / FILE).unlink()
        (tmp_path / "run").rmdir()
        (tmp_path / "run").write_text("a file where the folder was")
        reporter.start("Pruning", 1.0)
        reporter.finish()
