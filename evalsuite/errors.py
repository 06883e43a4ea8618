"""What can go wrong, by whose turn it is: each class carries the exit code of the command-line contract."""

import difflib
import unicodedata
from collections.abc import Iterable
from typing import Final, final

_LONGEST: Final = 2000
_KEPT: Final = 1400
"""Characters of the beginning of a message that is too long; the way out mostly stands at its end."""
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")
"""Of emoji and of several scripts: they change how neighbours are drawn, and nothing else."""


def printable(text: str) -> str:
    """`text` as one line that a terminal can show: what files and other programs say may be made to mislead.

    Space of any kind, line breaks included, becomes one blank; characters that are not shown but act (control
    sequences, directions of writing) are spelled as Python spells them; a text of more than 2000 characters loses its
    middle.
    """
    line = " ".join(text.split())
    shown = "".join(map(_spelled, line[:_LONGEST] + line[-_LONGEST:] if len(line) > 2 * _LONGEST else line))
    if len(line) <= _LONGEST and len(shown) <= _LONGEST:
        return shown
    mark = f" ... ({len(line)} characters) ... "
    return shown[:_KEPT] + mark + shown[_KEPT + len(mark) - _LONGEST :]


def _spelled(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN or character in _JOINERS:
        return character
    return ascii(character)[1:-1]


def install_hint(extra: str = "") -> str:
    """What to type for evalsuite with `extra`: the package stands in no registry, so only a checkout has it."""
    pip = f"pip install '.[{extra}]'" if extra else "pip install ."
    # robustbench binds timm and setuptools to old versions, which other networks may not want
    make = "make robustbench (an environment of its own) or " if extra == "robustbench" else ""
    return f"{make}{pip} in a checkout of evalsuite"


class EvalsuiteError(Exception):
    """Something a user can put right; printed as one line, without a traceback.

    Attributes:
        exit_code: What the process ends with (2: the call or its inputs do not fit together).
    """

    exit_code = 2

    def __init__(self, message: str = "", *, items: Iterable[str] = ()) -> None:
        """Takes the line, see `printable`, and further lines that stand below it."""
        super().__init__("\n  ".join(map(printable, (message, *items))))


class UsageError(EvalsuiteError):
    """An option, name or value is not one that is accepted."""


class RefusedInputError(EvalsuiteError):
    """A file is corrupt, or would have to be trusted to be read."""

    exit_code = 4


class IncompleteEvidenceError(EvalsuiteError):
    """A verdict was asked for that the stored evidence cannot carry."""

    exit_code = 3


@final
class TerminatedError(BaseException):
    """SIGTERM arrived; unwinds like Ctrl-C so that files are closed."""


class UnknownNameError(UsageError):
    """A name stands in no registry; the nearest names and all accepted ones are told."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, elsewhere: Iterable[str] = ()) -> None:
        """`elsewhere`: accepted names that are this one, spelled out; they are told before names that look alike."""
        names = sorted(known)
        near = [*elsewhere] or difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        article = "an" if kind[0] in "aeiou" else "a"
        super().__init__(
            f"expected the name of {article} {kind}, got {name!r}.{hint} Known: {', '.join(names) or 'none'}"
        )


def exit_code(error: BaseException) -> int:
    """What a process ends with that `error` stops: as the contract has it, 5 for what nobody foresaw."""
    if isinstance(error, EvalsuiteError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 143 if isinstance(error, TerminatedError) else 5
