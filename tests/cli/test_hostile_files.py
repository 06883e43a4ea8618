"""Each hostile file, read by the real command line: one line, exit 4 or 2, within 5 s of computing and 1 GB."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import hostile_files
import pytest

pytestmark = pytest.mark.slow

SECONDS, MEMORY = 5.0, 10**9


def test_every_hostile_file_is_one_line_soon_and_in_little_memory(checkpoint, tmp_path):
    shutil.copy(checkpoint, tmp_path / "own.safetensors")
    script = Path(hostile_files.__file__)
    run = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=1500, check=True)
    whole, *outcomes, left = map(json.loads, run.stdout.splitlines())
    cases = hostile_files.cases()
    assert [outcome["name"] for outcome in outcomes] == list(cases)
    faults = {
        outcome["name"]: fault
        for outcome in outcomes
        if (fault := wrong(cases[outcome["name"]], outcome, whole["memory"])) is not None
    }
    assert not faults, "\n".join(f"{name}: {fault}" for name, fault in faults.items())
    assert left["files"] == []


def wrong(case, outcome, memory):
    """What is not as it should be."""
    text = outcome["said"].rpartition("for help.\n\n")[2]  # an option's message stands below how the command is called
    lines = [line for line in text.splitlines() if not line.endswith("...")]
    if outcome["code"] != case.code:
        return f"exit {outcome['code']}: {outcome['said'][-500:]}"
    if len(lines) != 1 or case.message not in lines[0]:
        return f"expected one line with {case.message!r}, got {lines}"
    if outcome["seconds"] > SECONDS:
        return f"{outcome['seconds']:.1f} s"
    return f"{outcome['memory'] - memory} bytes" if outcome["memory"] - memory > MEMORY else None
