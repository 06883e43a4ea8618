"""Checks what the header of a checkpoint names as its data: a registered set, of files below the working folder.

A name that the user types may be code of theirs to call, or a path to anywhere. A file comes from anyone: what it names
must neither run code nor read what has nothing to do with the work at hand.
"""

import re
import shlex
from pathlib import Path, PurePath

from evalsuite.errors import RefusedInputError
from evalsuite.files.private_paths import LEFT_OUT
from evalsuite.parts.data_names import parse_data_name
from evalsuite.parts.registry import names


def check_recorded(name: str, ckpt: Path) -> str:
    """`name` itself, as the header of `ckpt` spells it; nothing is imported, and no path outside is looked at.

    Raises:
        RefusedInputError: It is no registered data set, or its files are not below the working folder.
    """
    kind = re.split(r"[:?]", name, maxsplit=1)[0]
    # a file that evalsuite wrote does not tell where data lie that are elsewhere
    meant = shlex.quote(name) if LEFT_OUT not in PurePath(name.replace(":", "/")).parts else f"{kind}:PATH"
    way_out = f"if that is what you mean, say it yourself: --data {meant}"
    if kind.replace("-", "_") not in names("evalsuite.data"):
        raise RefusedInputError(
            f"{ckpt}: expected a registered data set in its header, got {name!r}, and code is called only by your own "
            f"word; {way_out}"
        )
    if not _is_below(name[len(kind) + 1 :], Path.cwd()) or not _leads_below(name, Path.cwd()):
        raise RefusedInputError(
            f"{ckpt}: expected data below the working folder in its header, got {name!r}, which lies elsewhere; "
            f"{way_out}"
        )
    return name


def _is_below(rest: str, folder: Path) -> bool:
    """Whether no piece of `rest`, taken as a path, leaves `folder`: by its text alone, as a look may mount a disk."""
    pieces = [piece for option in re.split(r"[?&]", rest) for piece in (option, option.partition("=")[2])]
    return not any(_leaves(piece, folder) for piece in pieces)


def _leaves(piece: str, folder: Path) -> bool:
    path = PurePath(piece)
    return (
        not {"..", LEFT_OUT}.isdisjoint(path.parts)
        or piece.startswith("~")
        or (path.is_absolute() and not path.is_relative_to(folder))
    )


def _leads_below(name: str, folder: Path) -> bool:
    """Whether its paths lead to files or folders in `folder` also where links are followed."""
    parsed = parse_data_name(name)
    pieces = [parsed.argument, *(option.partition("=")[2] for option in parsed.options)]
    return all(_is_plain_below(folder / piece, folder.resolve()) for piece in pieces)


def _is_plain_below(path: Path, folder: Path) -> bool:
    try:
        if not path.resolve().is_relative_to(folder):
            return False
        return path.is_file() or path.is_dir() or not path.exists()
    except (OSError, RuntimeError, ValueError):  # a name that is too long, a circle of links, a NUL
        return False
