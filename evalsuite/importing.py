"""Runs code that users name by hand (`package.module:factory`): from the working folder, with errors of one line."""

import contextlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from evalsuite.errors import EvalsuiteError, UsageError


def import_users_module(name: str) -> ModuleType:
    """The module called `name`, which may lie in the working folder.

    Raises:
        UsageError: It cannot be imported; the message names the module, what was raised and where.
    """
    with users_code(f"expected {name} to be a module that can be imported (installed, or in the working folder)"):
        return importlib.import_module(name)


def is_module(name: str) -> bool:
    """Whether a module called `name`, without dots, is installed or lies in the working folder; imports nothing."""
    with _working_folder():
        try:
            spec = importlib.util.find_spec(name) if name.isidentifier() else None
        except (ImportError, ValueError):
            return False
    # a folder without Python code is found as a package too, one without an origin
    return spec is not None and spec.origin is not None


@contextlib.contextmanager
def users_code(expected: str) -> Iterator[None]:
    """Run code of the user's own: whatever it raises becomes one line, and what it prints goes to stderr.

    Args:
        expected: How the message starts, e.g. "expected mydata:make to return a data set".

    Raises:
        UsageError: Something was raised; the message names its type, what it says and the line of the user's code.
    """
    with _working_folder(), contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        except EvalsuiteError:
            raise
        # a script without a guard may call sys.exit when it is imported
        except (Exception, SystemExit) as error:
            raise UsageError(f"{expected}, got {_one_line(error)}{_place(error)}") from error


@contextlib.contextmanager
def _working_folder() -> Iterator[None]:
    """The working folder comes first where modules are looked for, as when Python runs a script in it."""
    folder = str(Path.cwd())
    added = not {folder, ""} & set(sys.path)
    if added:
        sys.path.insert(0, folder)
    # a module may have been written since its folder was last looked into
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)


def _one_line(error: BaseException) -> str:
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _place(error: BaseException) -> str:
    """The innermost line that is neither a library's nor evalsuite's."""
    if isinstance(error, SyntaxError):  # which says it itself
        return ""
    evalsuite = str(Path(__file__).parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen", evalsuite, sys.base_prefix)) and "-packages" not in frame.filename
    ]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
