"""Tests of evaluation take the small families of the tests of engines."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))
