"""Where published data sets are looked for."""

import os
from pathlib import Path

from evalsuite.files.given_paths import expanded
from evalsuite.files.trees import tree


def archive_roots() -> tuple[Path, ...]:
    """Folders in which published data sets are looked for, the one to download to first.

    The environment variable EVALSUITE_DATA names the only one; else the user's cache, then `data` in the working
    directory, where torchvision's own examples put theirs.
    """
    if "EVALSUITE_DATA" in os.environ:
        return (expanded(os.environ["EVALSUITE_DATA"]),)
    cache = expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return (cache / "evalsuite" / "data", Path("data"))


def archive_files(*folders: str) -> tuple[Path, ...]:
    """Files in `folders` of all roots."""
    return tuple(file for root in archive_roots() for folder in folders for file in tree(root / folder))
