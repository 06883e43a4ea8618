"""The registry of parts: their folder lists them, and a part's file name is its name everywhere.

Third-party packages add parts through entry points named after the folder (`evalsuite.tasks`, `evalsuite.pruners`).
"""

import inspect
import pkgutil
from dataclasses import is_dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import ClassVar, TypeVar, get_origin

from evalsuite.errors import UnknownNameError, UsageError
from evalsuite.process.third_party_code import users_code

Part = TypeVar("Part")


def names(package: str) -> tuple[str, ...]:
    """Names of all parts in `package`, sorted, without importing any of them."""
    return tuple(sorted({*_files(package), *_entries(package)}))


def built_in(package: str) -> frozenset[str]:
    """Names of the parts of `package` that come with evalsuite, without importing any of them."""
    return _files(package)


def find(package: str, name: str, base: type[Part]) -> type[Part]:
    """The part called `name`: the one concrete subclass of `base` that the file `name`.py of `package` defines.

    Raises:
        UnknownNameError: No such file or entry point; the nearest names are told.
        UsageError: A third-party entry point cannot be imported, or does not lead to a subclass of `base`.
    """
    if name in _files(package):
        module = import_module(f"{package}.{name}")
        classes = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
        (part,) = [c for c in classes if issubclass(c, base) and not inspect.isabstract(c)]
        return part
    if name in _entries(package):
        entry = _entries(package)[name]
        origin = "" if entry.dist is None else f" of {entry.dist.name} {entry.dist.version}"
        with users_code(f"expected entry point {name!r}{origin} to be imported from {entry.value}"):
            loaded = entry.load()
        if not (inspect.isclass(loaded) and issubclass(loaded, base)):
            raise UsageError(
                f"expected entry point {name!r}{origin} to be a subclass of {base.__name__}, got {loaded!r}"
            )
        if missing := _missing(loaded):
            raise UsageError(
                f"expected entry point {name!r}{origin} to be a whole part, got one without {', '.join(missing)}"
            )
        return loaded
    kind = package.rpartition(".")[2].removesuffix("s").replace("_", " ")
    raise UnknownNameError(kind, name, names(package))


def _missing(part: type) -> list[str]:
    """What a class lacks of what its kind asks for: methods, facts about it, and to be a dataclass."""
    facts = {
        name
        for each in part.__mro__
        for name, annotation in vars(each).get("__annotations__", {}).items()
        if (annotation is ClassVar or get_origin(annotation) is ClassVar) and not hasattr(part, name)
    }
    methods: frozenset[str] = getattr(part, "__abstractmethods__", frozenset())
    return [*sorted({*facts, *methods}), *(() if is_dataclass(part) else ("@dataclass",))]


def third_party() -> frozenset[str]:
    """Names of all parts of all kinds that other packages add, without importing any of them."""
    installed = entry_points()
    groups = [group for group in installed.groups if group.startswith("evalsuite.")]
    return frozenset(_spelled(entry) for group in groups for entry in installed.select(group=group))


def entry_of(part: type) -> str | None:
    """The name of the entry point that leads to `part`; None if there is none."""
    groups = (group for group in entry_points().groups if group.startswith("evalsuite."))
    leads = f"{part.__module__}:{part.__qualname__}"
    return next((_spelled(e) for group in groups for e in entry_points(group=group) if e.value == leads), None)


@cache
def _files(package: str) -> frozenset[str]:
    # found without importing the package: listing names must not cost an import of torch
    spec = find_spec(package)
    paths = (spec.submodule_search_locations if spec else None) or []
    return frozenset(m.name for m in pkgutil.iter_modules(list(paths)) if not (m.ispkg or m.name.startswith("_")))


@cache
def _entries(package: str) -> dict[str, EntryPoint]:
    group = package if package.startswith("evalsuite.") else f"evalsuite.{package}"
    return {_spelled(e): e for e in entry_points(group=group)}


def _spelled(entry: EntryPoint) -> str:
    # a name may be typed with hyphens or underscores, as those of files
    return entry.name.replace("-", "_")
