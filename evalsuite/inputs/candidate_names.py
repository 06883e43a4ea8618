"""Names of files in a run's results: of candidates, and of what is shipped as one of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from evalsuite.errors import UsageError

PARENT: Final = "parent"


def candidate_names(files: Sequence[Path]) -> dict[str, Path]:
    """Files by their name without its ending, and with it where that is not enough to tell them apart.

    Raises:
        UsageError: Two have the same name.
    """
    stems = [file.stem for file in files]
    named: dict[str, Path] = {}
    for file in files:
        short = file.stem not in {PARENT, "separate"} and stems.count(file.stem) == 1
        name = file.stem if short else file.name
        if name in named:
            raise UsageError(f"--candidates: expected files with different names, got {named[name]} and {file}")
        named[name] = file
    return named


def shipped_names(pairs: Iterable[tuple[str, Path]], candidates: Iterable[str]) -> list[tuple[str, str, Path]]:
    """(name in results, name of the network that it is shipped as, file) of every pair of such a name and a file.

    Raises:
        UsageError: A file is shipped twice as the same network.
    """
    taken = {PARENT, *candidates}
    named: list[tuple[str, str, Path]] = []
    for network, file in pairs:
        name = file.name if file.name not in taken else f"{file.name} as {network}"
        if name in taken:
            raise UsageError(f"--shipped: expected files with different names, got {file} twice")
        taken.add(name)
        named.append((name, network, file))
    return named
