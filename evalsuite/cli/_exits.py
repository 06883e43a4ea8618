"""Ends the process with what its command returned, and keeps others' code from ending it."""

import ctypes
import os
import posix
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

import click
from click.shell_completion import shell_complete

_NAME: Final = "evalsuite"
_COMPLETION: Final = "_EVALSUITE_COMPLETE"
_BUG: Final = 5
_end_process: Final = os._exit


def invoked(cli: click.Command, arguments: Sequence[str]) -> int:
    """Run a command; the exit code that it returned, or asked click for: one of others' code is raised as it is.

    Not by click's own `main`: it makes an exit with 1, which is a failed gate, of a broken pipe, and an interruption of
    the end of a file, wherever others' code may have met them.
    """
    if instruction := os.environ.get(_COMPLETION):
        return shell_complete(cli, {}, _NAME, _COMPLETION, instruction)
    try:
        with cli.make_context(_NAME, list(arguments)) as context:
            returned = cli.invoke(context)
    except click.exceptions.Exit as end:
        if not _is_own(end):
            raise
        return end.exit_code
    return returned if isinstance(returned, int) else 0


def _is_own(end: click.exceptions.Exit) -> bool:
    """Whether a command, or click itself for `--help`, asked for this exit: others' code may raise the same."""
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(end.__traceback__)]
    return modules[-1].startswith("click.") and modules[-2].startswith(("click.", "evalsuite.cli."))


@contextmanager
def kept_from_leaving() -> Iterator[None]:
    """While it lasts, `os._exit` in this process is an error like `sys.exit`: nobody would hear of what it skips.

    In another thread, where nothing can be raised for the work, the process ends, with the code of a crash. Children
    of the process may leave as they like.
    """
    process = os.getpid()

    def refuse(code: int) -> NoReturn:
        if os.getpid() != process:
            _end_process(code)
        if threading.current_thread() is threading.main_thread():
            raise SystemExit(code)
        with suppress(OSError):
            os.write(2, f"evalsuite: code that is not evalsuite's ended the process (os._exit({code}))\n".encode())
        _end_process(_BUG)

    before = os._exit
    vars(os)["_exit"] = vars(posix)["_exit"] = refuse
    try:
        yield
    finally:
        vars(os)["_exit"] = vars(posix)["_exit"] = before


def end_process(code: int) -> NoReturn:
    """End at once, once all is written: nothing that others' code has registered for the end runs any more."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    _end_process(code)


def kept_from_exit() -> None:
    """From now on C's own `exit` in this process, which native code may call, ends it with the code of a crash.

    A whole command ends by `end_process`, of which C hears nothing.
    """
    process = os.getpid()

    def ended(_argument: object) -> None:
        if os.getpid() == process:
            with suppress(OSError):
                os.write(2, b"evalsuite: code that is not evalsuite's ended the process (exit)\n")
            _end_process(_BUG)

    with suppress(AttributeError, OSError):  # other systems' libraries
        handler = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(ended)
        _KEPT.append(handler)
        ctypes.CDLL(None)["__cxa_atexit"](handler, None, None)


_KEPT: Final[list[object]] = []
"""What C calls must not be collected."""
