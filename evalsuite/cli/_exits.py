"""The one way out: a process ends with what its command returned, and others' code cannot end it for it."""

import os
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
    vars(os)["_exit"] = refuse
    try:
        yield
    finally:
        vars(os)["_exit"] = before
