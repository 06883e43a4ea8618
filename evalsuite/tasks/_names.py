"""Names and addresses of tasks, and the parameters by which their observations are read."""

import hashlib
import json
from collections.abc import Iterable

from evalsuite.data._base import Examples
from evalsuite.errors import UsageError
from evalsuite.parts import names
from evalsuite.parts.registry import find
from evalsuite.tasks._base import Task

PACKAGE = "evalsuite.tasks"
_MOST = 1000
_LONGEST_NUMBER = 18
_LISTS = frozenset({"all", "common", "extra", "mix1", "mix2"})


def parse(text: str) -> Task:
    """The task that `text` names, e.g. `corruption/fog/3` or `certified/l2/0.5?sigma=0.25`; see `parse_part`."""
    return names.parse_part(PACKAGE, text, Task)


def expand(patterns: Iterable[str]) -> tuple[Task, ...]:
    """Tasks for names in which a part may be a list (`all`, `mix1`) or a range (`1-5`); doubles are dropped."""
    tasks: dict[str, Task] = {}
    for pattern in patterns:
        for text in _expand(pattern):
            task = parse(text)
            tasks.setdefault(names.part_name(task), task)
    return tuple(tasks.values())


def address(task: Task, training: Examples | None = None) -> str:
    """Everything that the observations of a task depend on beside its examples, as canonical text.

    `training` are the examples of the bank, where the task has one.
    """
    left_out = task.read_parameters | task.location_fields
    kept = {field: value for field, value in names.part_settings(task).items() if field not in left_out}
    identity = {"kind": names.part_kind(task), "version": task.version, **kept, **task.identity()}
    if training is not None:
        identity["training"] = hashlib.sha256(",".join(training.ids).encode()).hexdigest()[:16]
    return json.dumps(identity, sort_keys=True)


def digest(task: Task, training: Examples | None = None) -> str:
    """The task's part of a shard's address, 16 hex digits; arguments as of `address`."""
    return hashlib.sha256(address(task, training).encode()).hexdigest()[:16]


def read_parameters(task: Task) -> dict[str, float]:
    """How stored observations are to be read, e.g. {"radius": 0.5}."""
    return {field: float(getattr(task, field)) for field in sorted(task.read_parameters)}


def _expand(pattern: str) -> list[str]:
    path, mark, query = pattern.strip().partition("?")
    texts: list[list[str]] = [[]]
    for position, part in enumerate(path.split("/")):
        choices = _choices(path, position, part)
        if len(texts) * len(choices) > _MOST:
            raise UsageError(f"expected a name of at most {_MOST} tasks, got more: {pattern!r}")
        texts = [[*text, choice] for text in texts for choice in choices]
    return ["/".join(text) + mark + query for text in texts]


def _choices(path: str, position: int, part: str) -> list[str]:
    if position == 0:
        return [part]
    if part in _LISTS:
        task = find(PACKAGE, path.partition("/")[0].replace("-", "_"), Task)
        choices = task.choices(task.path[position - 1], part) if position <= len(task.path) else ()
        if not choices:
            raise UsageError(f"expected a value instead of {part!r} in task {path!r}: it stands for no list there")
        return list(choices)
    first, dash, last = part.partition("-")
    if dash and first.isdecimal() and last.isdecimal():
        if max(len(first), len(last)) > _LONGEST_NUMBER or int(last) - int(first) >= _MOST:
            raise UsageError(f"expected a range of at most {_MOST} numbers, got {part!r} in task {path!r}")
        return [str(number) for number in range(int(first), int(last) + 1)]
    return [part]
