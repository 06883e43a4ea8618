"""`evalsuite show`: one part, a checkpoint or a run in detail."""

import inspect
from pathlib import Path

import click

from evalsuite.cli._console import write_json
from evalsuite.cli._options import JSON
from evalsuite.errors import UnknownNameError


@click.command(
    epilog="\b\nExamples:\n  evalsuite show corruption/fog/3\n  evalsuite show pruners/synflow\n"
    "  evalsuite show model.safetensors\n  evalsuite show reports/model",
)
@click.argument("what")
@JSON
def command(what: str, as_json: bool) -> None:
    """Show WHAT in detail: a task or another part (KIND/NAME), a checkpoint file, or a run folder."""
    path = Path(what)
    if path.is_dir():
        from evalsuite.cli.gate import read_results
        from evalsuite.report.verdict import headline

        results = read_results(path)
        write_json(results) if as_json else click.echo(headline(results))
    elif path.is_file():
        _checkpoint(path, as_json=as_json)
    else:
        _part(what, as_json=as_json)


def _checkpoint(path: Path, *, as_json: bool) -> None:
    from evalsuite.networks.checkpoint import read
    from evalsuite.networks.cost import cost

    found = read(path)
    counted = cost(found.network, found.shape)
    facts: dict[str, object] = {
        "arch": found.arch,
        "arguments": dict(found.arguments),
        "classes": found.class_count,
        "shape": list(found.shape),
        "data": found.data,
        "parameters": counted.parameters,
        "nonzero": counted.nonzero,
        "prune_ratio_by_zeros": 1 - counted.prunable_nonzero / counted.prunable,
        "multiply_accumulates": counted.dense_flops,
        "lineage": [dict(step) for step in found.lineage],
        "sha256": found.file_digest,
    }
    if as_json:
        write_json(facts)
        return
    for key, value in facts.items():
        click.echo(f"{key:22} {value}")


def _part(what: str, *, as_json: bool) -> None:
    from dataclasses import fields

    from evalsuite.cli.list import FOLDERS
    from evalsuite.registry import find, names

    kind, _, rest = what.partition("/")
    package, name = (FOLDERS[kind], rest) if kind in FOLDERS and rest else (FOLDERS["tasks"], kind)
    name = name.partition("?")[0].replace("-", "_")
    if name not in names(package):
        if package != FOLDERS["tasks"] or kind == "tasks":
            raise UnknownNameError(kind.removesuffix("s"), name, names(package))
        known = [*names(package), *(f"{each}/NAME" for each in FOLDERS)]
        raise UnknownNameError("part, checkpoint or run folder", what, known)
    part: type[object] = find(package, name, object)
    doc = inspect.getdoc(part) or ""
    settings = {f.name: str(f.default) for f in fields(part)}  # type: ignore[arg-type]
    if as_json:
        write_json({"name": name, "doc": doc, "settings": settings})
        return
    click.secho(f"{package}.{name}", bold=True)
    click.echo(doc)
