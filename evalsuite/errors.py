"""What can go wrong, by whose turn it is: each class carries the exit code of the command-line contract."""

import difflib
from collections.abc import Iterable
from typing import final


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
        lines: The message, and what is listed below it; line breaks within one are somebody's text.
    """

    exit_code = 2

    def __init__(self, message: str = "", *, listed: Iterable[str] = ()) -> None:
        """`listed`: each stands in a line of its own below the message."""
        self.lines = (message, *(f"  {each}" for each in listed))
        super().__init__("\n".join(self.lines))


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
    """A signal asks the process to end; unwinds like Ctrl-C so that files are closed.

    Attributes:
        exit_code: What the process ends with: 128 and the signal's number.
    """

    def __init__(self, message: str = "", *, code: int = 143) -> None:
        """`message`: what happened, in a word."""
        super().__init__(message)
        self.exit_code = code


class UnknownNameError(UsageError):
    """A name stands in no registry; the nearest names and all accepted ones are told."""

    def __init__(self, kind: str, name: str, accepted: Iterable[str], *, elsewhere: Iterable[str] = ()) -> None:
        """`elsewhere`: accepted names that are this one, spelled out; they are told before names that look alike."""
        names = sorted(accepted)
        near = [*elsewhere] or difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        article = "an" if kind[0] in "aeiou" else "a"
        super().__init__(
            f"expected the name of {article} {kind}, got {name!r}.{hint} Known: {', '.join(names) or 'none'}"
        )


def exit_code(error: BaseException) -> int:
    """What a process ends with that `error` stops: as the contract has it, 5 for what nobody foresaw."""
    if isinstance(error, EvalsuiteError | TerminatedError):
        return error.exit_code
    return 130 if isinstance(error, KeyboardInterrupt) else 5
