"""The largest number of threads that may be asked for."""

import os
from typing import Final

MOST_THREADS: Final = max(256, os.cpu_count() or 1)
"""A system that cannot start that many ends the whole process, with exit code 1: libgomp does not ask."""
