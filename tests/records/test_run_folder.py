"""A run folder: nobody's files are written over or deleted, no link is followed, nothing is made of what is refused."""

import json
import os
import sqlite3
from pathlib import Path

import pytest

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.progress import Silent
from evalsuite.records.heartbeat import recorded
from evalsuite.records.run_folder import check_names, check_usable, clear_partials, is_file
from evalsuite.records.store import opened, reading


def content(folder):
    """Names, bytes, places of links, and when each was written."""
    return {path: (path.lstat().st_mtime_ns, _content(path)) for path in folder.rglob("*")}


def _content(path):
    return path.readlink() if path.is_symlink() else is_file(path) and path.read_bytes()


FOREIGN = {
    "a page": {"report.html": "<p>mine"},
    "a run file": {"run.toml": "mine = 1"},
    "networks": {"networks/mine.pt": "weights"},
    "results": {"results.json": '{"schema": "another"}'},
    "results that are none": {"results.json": "[" * 100_000},
    "progress": {"progress.json": '{"schema": "another"}'},
    "results of evalsuite among others": {"results.json": '{"schema": "evalsuite-results/1"}', "tax.pdf": ""},
    "a half-written file": {".mine.0123abcd.partial": "half"},
    "hidden files": {".git/config": ""},
}


@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_of_other_files_is_left_as_it_is(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    before = content(tmp_path)
    with pytest.raises(UsageError, match="--out: expected a new or empty folder") as refusal:
        check_usable(tmp_path)
    assert any(repr(name.partition("/")[0]) in str(refusal.value) for name in files)
    for use in (lambda: recorded(Silent(), tmp_path), lambda: opened(tmp_path, create=True)):
        with pytest.raises(UsageError), use():
            pass
    assert content(tmp_path) == before


RUNS = {
    "empty": {},
    "a killed run before its store": {"progress.json": '{"schema": "evalsuite-progress/1"}', "notes.txt": "mine"},
    "a store that is just made": {"results.sqlite": "", "notes.txt": "mine"},
    "results alone": {"results.json": '{"schema": "evalsuite-results/1"}', "report.html": "", "run.toml": ""},
    "what a process left that was killed at once": {".progress.json.0123abcd.partial": "", "results.sqlite.lock": ""},
}


@pytest.mark.parametrize("files", RUNS.values(), ids=RUNS)
def test_a_run_is_continued(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    check_usable(tmp_path)
    with opened(tmp_path, create=True):
        pass
    assert not list(tmp_path.glob(".*"))
    assert all((tmp_path / name).exists() for name in files if not name.startswith("."))


@pytest.mark.parametrize("out", ["/", "file", "file/below", "n" * 300, "loop"])
def test_what_is_no_folder_is_refused_at_once(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match="--out: expected a folder"), recorded(Silent(), Path(out)):
        pass


def test_only_own_partial_files_are_cleared(tmp_path):
    with opened(tmp_path, create=True):
        pass
    (tmp_path / "networks").mkdir()
    (tmp_path / "mine").mkdir()
    partial = [
        ".results.json.0a1b2c3d.partial",
        ".progress.json.00000000.partial",
        "networks/.x-0.5.safetensors.ffffffff.partial",
    ]
    others = [
        *(".mine.0a1b2c3d.partial", ".results.json.partial", ".results.json.0A1B2C3D.partial", ".keep"),
        *("mine/.results.json.0a1b2c3d.partial", "networks/.y.pt.0a1b2c3d.partial"),
    ]
    for name in (*partial, *others):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".report.html.0a1b2c3d.partial").symlink_to(tmp_path / ".keep")
    with reading(tmp_path):
        pass
    assert all((tmp_path / name).exists() for name in partial)  # readers delete nothing
    clear_partials(tmp_path)
    assert not any((tmp_path / name).exists() for name in partial)
    assert all((tmp_path / name).exists() for name in others)
    assert (tmp_path / ".report.html.0a1b2c3d.partial").is_symlink()


def test_partials_behind_a_link_are_not_cleared(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    half = tmp_path / "elsewhere" / ".x.safetensors.0a1b2c3d.partial"
    half.touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "networks").symlink_to(tmp_path / "elsewhere")
    clear_partials(tmp_path / "run")
    assert half.exists()


NAMES = [
    *("results.sqlite", "results.sqlite-journal", "results.sqlite-wal", "results.sqlite-shm", "results.sqlite.lock"),
    *("results.json", "report.html", "run.toml", "progress.json", "junit.xml", "networks"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe"])
def test_a_name_of_evalsuites_that_leads_elsewhere_is_refused(tmp_path, name, kind):
    run, target = tmp_path / "run", tmp_path / "target"
    with opened(run, create=True):
        pass
    (run / name).unlink(missing_ok=True)
    if name == "networks" and kind == "link":
        target.mkdir()
    elif kind == "link":
        target.write_bytes(b"mine")
    (run / name).symlink_to(target) if kind != "pipe" else os.mkfifo(run / name)
    before = content(tmp_path)
    uses = [lambda: recorded(Silent(), run), lambda: opened(run, create=True)]
    if name != "results.sqlite" or kind == "link":
        uses.append(lambda: reading(run))
    refused = f"{name}: expected a (file|folder) that a run wrote, got a (link|pipe)"
    for use in uses:
        with pytest.raises(RefusedInputError, match=refused), use():
            pass
    assert content(tmp_path) == before


def test_a_database_with_a_second_name_is_not_written_through(tmp_path):
    with opened(tmp_path / "run", create=True):
        pass
    # what backups by hard links make of a run folder
    os.link(tmp_path / "run" / "results.sqlite", tmp_path / "backup.sqlite")
    with pytest.raises(RefusedInputError, match=r"results\.sqlite: expected a file with one name, got one that has 2"):
        check_names(tmp_path / "run", writing=True)
    with reading(tmp_path / "run"):
        pass


def test_a_lock_is_not_written_to(tmp_path):
    (tmp_path / "results.sqlite.lock").write_text("mine, by accident")
    os.link(tmp_path / "results.sqlite.lock", tmp_path / "results.sqlite.lock2")
    (tmp_path / "progress.json").write_text('{"schema": "evalsuite-progress/1"}')
    with opened(tmp_path, create=True):
        pass
    assert (tmp_path / "results.sqlite.lock2").read_text() == "mine, by accident"


def test_somebody_elses_database_is_left_as_it_is(tmp_path):
    with sqlite3.connect(tmp_path / "results.sqlite") as database:
        database.execute("CREATE TABLE mine (a)")
    database.close()
    before = (tmp_path / "results.sqlite").read_bytes()
    for use in (lambda: opened(tmp_path, create=True), lambda: reading(tmp_path)):
        with pytest.raises(RefusedInputError, match=r"a database with other contents \(mine\)"), use():
            pass
    assert (tmp_path / "results.sqlite").read_bytes() == before


def test_a_killed_run_before_its_store_says_what_it_is(tmp_path):
    with recorded(Silent(), tmp_path) as reporter:
        reporter.start("Pruning", 1.0)
    assert json.loads((tmp_path / "progress.json").read_text())["schema"] == "evalsuite-progress/1"
    check_usable(tmp_path)
