"""Every target reads its honest inputs, or it would fuzz nothing but a refusal; what was found stays mended."""

import os
import sys

import pytest

from fuzz.__main__ import main
from fuzz.target import all_targets

pytestmark = pytest.mark.slow

TARGETS = {target.name: target for target in all_targets()}
# what their honest inputs are made from takes seconds: tests of those readers have such files of their own
DEAR = frozenset({"pt2", "gate-results", "report-results", "summary-results", "store", "heartbeat"})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(set(TARGETS) - DEAR))
def test_honest_inputs_are_read(name, tmp_path, monkeypatch):
    (tmp_path / "shared").mkdir()
    (tmp_path / "scratch").mkdir()
    monkeypatch.chdir(tmp_path / "scratch")
    for data in TARGETS[name].honest(tmp_path / "shared"):
        TARGETS[name].read(data, tmp_path / "scratch")


def test_the_targets_cover_every_kind_of_outside_bytes():
    assert len(TARGETS) == len(all_targets())
    for kind in (
        "torch-archive",
        "safetensors",
        "own-header",
        "pt2",
        "onnx",
        "npz",
        "idx-gz",
        "csv",
        "policy",
        "run-file",
    ):
        assert kind in TARGETS


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux tells it")
def test_the_command_writes_a_table_and_what_it_finds(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
    ended = main(["--target", "normalise", "--inputs", "20", "--json", "table.json", "--findings", "findings"])
    printed = capsys.readouterr().out
    assert ended == (1 if (tmp_path / "findings").exists() else 0)
    assert "normalise" in printed
    assert '"inputs": 20' in (tmp_path / "table.json").read_text()
