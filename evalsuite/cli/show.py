"""`evalsuite show`: one part, a checkpoint or a run in detail."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalsuite.cli._console import echo, write_json
from evalsuite.cli._options import JSON
from evalsuite.errors import UnknownNameError

if TYPE_CHECKING:
    from evalsuite.cli._parts import Description, Setting
    from evalsuite.records.schema import Results

_WIDTH = 110


@click.command(
    epilog="\b\nExamples:\n  evalsuite show corruption/fog/3\n  evalsuite show pruners/synflow\n"
    "  evalsuite show networks/torchvision:resnet18\n  evalsuite show presets/standard\n"
    "  evalsuite show model.safetensors\n  evalsuite show reports/model",
)
@click.argument("what")
@click.option("--arch", help="Of a checkpoint that does not name its architecture, or names code of yours.")
@JSON
def command(what: str, arch: str | None, as_json: bool) -> None:
    """Show WHAT in detail: a task or another part (KIND/NAME), a checkpoint file, or a run folder."""
    path = Path(what)
    if path.is_dir():
        from evalsuite.report.content.verdict import headline

        results = _results(path)
        write_json(results.document()) if as_json else echo(*headline(results).split("\n"))
    elif path.is_file():
        _checkpoint(path, arch, as_json=as_json)
    else:
        part = _part(what)
        write_json(part.document()) if as_json else _print(part)


def _results(run: Path) -> "Results":
    """What a run has written at its end, or what its store holds so far."""
    from evalsuite.analysis.results_file import current, read_results

    if (run / "results.json").exists() or not (run / "results.sqlite").exists():
        return read_results(run)
    return current(run)[0]


def _checkpoint(path: Path, arch: str | None, *, as_json: bool) -> None:
    from evalsuite.networks.checkpoints.checkpoint import read
    from evalsuite.networks.costs.cost import cost
    from evalsuite.process.third_party_code import others_code

    with others_code(f"reading {path}"):
        checkpoint = read(path, arch=arch)
        counted = cost(checkpoint.network, checkpoint.shape)
    facts: dict[str, object] = {
        "arch": checkpoint.arch,
        "arguments": dict(checkpoint.arguments),
        "classes": checkpoint.class_count,
        "shape": list(checkpoint.shape),
        "data": checkpoint.data,
        "parameters": counted.parameters,
        "nonzero": counted.nonzero,
        "prune_ratio_by_zeros": 1 - counted.prunable_nonzero / counted.prunable if counted.prunable else None,
        "multiply_accumulates": counted.dense_flops,
        "lineage": [dict(step) for step in checkpoint.lineage],
        "sha256": checkpoint.file_digest,
    }
    if as_json:
        write_json(facts)
        return
    for key, value in facts.items():
        echo(f"{key:22} {value}")


def _part(what: str) -> "Description":
    from evalsuite.cli._parts import KINDS, described, described_network, described_preset, described_task, spelled_out
    from evalsuite.parts.registry import names

    kind, _, name = what.partition("/")
    if kind in {"networks", "presets"} and name:
        return described_network(name) if kind == "networks" else described_preset(name)
    if kind == "tasks" and name:
        kind, what, name = name.partition("/")[0], name, ""
    tasks = names(KINDS["tasks"].package)
    if kind.partition("?")[0].replace("-", "_") in tasks:
        # a kind of tasks by its name alone may be no task yet: corruption
        return described("tasks", what) if what.replace("-", "_") in tasks else described_task(what)
    if kind in KINDS and name:
        return described(kind, name.partition("?")[0])
    accepted = [*tasks, *(f"{each}/NAME" for each in (*KINDS, "networks", "presets"))]
    raise UnknownNameError("part, checkpoint or run folder", what, accepted, elsewhere=spelled_out(what))


def _print(part: "Description") -> None:
    echo(part.title, bold=True)
    echo(*part.text.splitlines())
    if part.settings:
        echo("")
        _table(part.settings, part.heading)
    if part.source:
        echo("", f"source:  {part.source}")
    for place, each in enumerate(part.typed):
        echo(f"{'typed:' if not place else '':8} {each}")


def _table(settings: "tuple[Setting, ...]", heading: str) -> None:
    first = max(len("setting"), *(len(row.name) for row in settings))
    second = min(40, max(len(heading), *(len(row.value) for row in settings)))
    room = max(30, _WIDTH - first - second - 4)
    echo(f"{'setting':{first}}  {heading:{second}}  what it means", bold=True)
    for row in settings:
        values = textwrap.wrap(row.value, second, break_on_hyphens=False) or [""]
        lines = textwrap.wrap(row.meaning, room) or [""]
        for place in range(max(len(values), len(lines))):
            name, value, line = (column[place] if place < len(column) else "" for column in ([row.name], values, lines))
            echo(f"{name:{first}}  {value:{second}}  {line}".rstrip())
