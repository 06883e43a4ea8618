"""Imports modules that users name by hand (`package.module:factory`), which may lie in the working folder."""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from evalsuite.process.third_party_code import users_code


def import_users_module(name: str) -> ModuleType:
    """The module called `name`, which may lie in the working folder.

    Raises:
        OthersError: It cannot be imported; the message names the module, what was raised and where.
    """
    expected = f"expected {name} to be a module that can be imported (installed, or in the working folder)"
    with working_folder(), users_code(expected):
        return importlib.import_module(name)


def is_module(name: str) -> bool:
    """Whether a module called `name`, without dots, is installed or lies in the working folder; imports nothing."""
    with working_folder():
        try:
            spec = importlib.util.find_spec(name) if name.isidentifier() else None
        except (ImportError, ValueError):
            return False
    # a folder without Python code is found as a package too, one without an origin
    return spec is not None and spec.origin is not None


@contextlib.contextmanager
def working_folder() -> Iterator[None]:
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
