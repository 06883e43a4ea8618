"""The grammars lie beside the tests, and are imported by the networks' modules that tests write, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
