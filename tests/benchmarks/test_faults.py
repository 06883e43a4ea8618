"""A run that meets a fault while it writes continues to the same results; `benchmarks/faults.py` does it everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_faults_at_a_few_write_points():
    ended = subprocess.run(
        [sys.executable, BENCHMARKS / "faults.py", "--points", "4"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = ended.stdout.splitlines()
    for fault, code in (("killed", "-9"), ("terminated", "143"), ("full", "2")):
        first = next(place for place, line in enumerate(lines) if line.startswith(f"{fault} at 4 of "))
        assert any(line.split()[2].strip(":") == code for line in lines[first + 1 : first + 5]), ended.stdout
