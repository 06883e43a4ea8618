"""`evalsuite list`: what can be named."""

import ast
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalsuite.cli._console import echo, write_json
from evalsuite.cli._options import JSON
from evalsuite.cli._parts import KINDS
from evalsuite.config.presets import PRESETS
from evalsuite.errors import UnknownNameError
from evalsuite.parts.registry import names

if TYPE_CHECKING:
    from rich.console import Console

_KINDS = (*KINDS, "networks", "presets")


@click.command(
    "list",
    epilog="\b\nExamples:\n  evalsuite list tasks\n  evalsuite list pruners --json",
)
@click.argument("kind", metavar="KIND", required=False)
@JSON
def command(kind: str | None, as_json: bool) -> None:
    """List what can be named: KIND is attacks, corruptions, data, measures, networks, pruners, recipes, tasks, ..."""
    if kind is not None and kind not in _KINDS:
        raise UnknownNameError("list", kind, _KINDS)
    if kind is not None and kind in _TABLES:
        _TABLES[kind](as_json=as_json)
        return
    listing = {each: _listed(each) for each in ([kind] if kind else _KINDS)}
    if as_json:
        write_json(listing)
        return
    for each, parts in listing.items():
        echo(each, bold=True)
        width = max((len(name) for name in parts), default=0)
        for name, says in parts.items():
            echo(f"  {name:{width}}  {says}")


def _pruners(*, as_json: bool) -> None:
    """A table of what each method prunes, when, by what, and what it needs."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from evalsuite.parts.registry import find
    from pruners import Pruner

    parts = {name.replace("_", "-"): find("pruners", name, Pruner) for name in names("pruners")}
    rows = {
        name: {
            "when": part.when,
            "structure": part.structure,
            "criterion": part.criterion,
            "needs": sorted(part.needs),
            "paper": part.paper,
        }
        for name, part in parts.items()
    }
    if as_json:
        write_json({"pruners": rows})
        return
    table = Table("pruner", "prunes", "removes", "by", "needs", "paper", box=SIMPLE_HEAD)
    for name, row in sorted(rows.items(), key=lambda item: (item[1]["structure"] != "weights", item[0])):
        needs = ", ".join(row["needs"]) or "-"
        table.add_row(name, str(row["when"]), str(row["structure"]), str(row["criterion"]), needs, str(row["paper"]))
    _wide().print(table)


def _tasks(*, as_json: bool) -> None:
    """A table of how tasks are spelled and what they cost: the share of a plan that each takes."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from evalsuite.parts.registry import find
    from evalsuite.tasks._abilities import bank_size
    from evalsuite.tasks._base import Task
    from evalsuite.tasks._names import expand

    package = KINDS["tasks"].package
    rows: dict[str, dict[str, object]] = {}
    for kind in names(package):
        for text in find(package, kind, Task).usage or (kind.replace("_", "-"),):
            tasks = expand([text])
            asks = tasks[0].title() if len(tasks) == 1 else f"{tasks[0].title()}, and {len(tasks) - 1} more"
            passes, training = sum(task.forward_passes() for task in tasks), sum(bank_size(task) for task in tasks)
            rows[text] = {"kind": kind, "asks": asks, "passes": passes, "training": training}
    if as_json:
        write_json({"tasks": rows})
        return
    table = Table("task", "asks", "about so many passes", "and once", box=SIMPLE_HEAD)
    table.columns[2].justify = table.columns[3].justify = "right"
    for text, row in rows.items():
        table.add_row(
            text, str(row["asks"]), f"{row['passes']:,.0f}", f"{row['training']:,}" if row["training"] else ""
        )
    _wide().print(table)
    echo(
        "  forward passes per example and network, and once per network; a gradient step counts as three; "
        "evalsuite plan adds up a run"
    )


def _wide() -> "Console":
    from rich.console import Console

    console = Console()
    # a pipe has no width: nothing is folded there
    return Console(width=max(console.width, 100) if console.is_terminal else 220)


_TABLES: Mapping[str, Callable[..., None]] = {"pruners": _pruners, "tasks": _tasks}


def _listed(kind: str) -> dict[str, str]:
    if kind == "presets":
        return {name: f"{_size(options)}" for name, options in PRESETS.items()}
    if kind == "networks":
        from evalsuite.networks.architectures.by_name import describe

        return dict(describe())
    package = KINDS[kind].package
    return {name: _summary(package, name) for name in names(package) if _is_part(package, name)}


def _size(options: object) -> str:
    assert isinstance(options, dict)  # noqa: S101 - for the type checker
    return f"{len(options['ratios'])} ratios, {options['examples']} examples, {len(options['tasks'])} task patterns"


def _summary(package: str, name: str) -> str:
    """The first line of the file's docstring, read without importing it."""
    path = _path(package, name)
    if path is None:
        group = package if package.startswith("evalsuite.") else f"evalsuite.{package}"
        value = next((e.value for e in entry_points(group=group) if e.name == name), "")
        return f"from {value}"
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return doc.splitlines()[0] if doc else ""


def _is_part(package: str, name: str) -> bool:
    """Whether the file defines a class: verbs like `train` stand in the same folder as the recipes."""
    path = _path(package, name)
    return path is None or any(
        isinstance(node, ast.ClassDef) and node.bases for node in ast.parse(path.read_text(encoding="utf-8")).body
    )


def _path(package: str, name: str) -> Path | None:
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    return next((path for folder in folders if (path := Path(folder) / f"{name}.py").exists()), None)
