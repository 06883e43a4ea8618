"""`evalsuite evaluate`: judge networks that others made."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalsuite.cli._console import echo, reporter, write_json
from evalsuite.cli._options import JSON, run_options, settled
from evalsuite.errors import UnknownNameError, UsageError
from evalsuite.inputs.candidate_names import PARENT, candidate_names, shipped_names

if TYPE_CHECKING:
    from evalsuite.config.options import Spec
    from evalsuite.records.schema import Results

_FILE = click.Path(path_type=Path)


@click.command(
    epilog="\b\nExamples:\n"
    "  evalsuite evaluate --parent model.safetensors --candidates pruned50.safetensors,pruned80.safetensors\n"
    "  evalsuite evaluate --parent resnet20.pt --candidates masked.pt --arch resnet20 --data cifar10\n"
    "  evalsuite evaluate --parent resnet18.pt --arch torchvision:resnet18 --data cifar10 --preset robustbench\n"
    "  evalsuite evaluate --parent model.safetensors --candidates int8.onnx,program.pt2\n"
    "  evalsuite evaluate --parent model.safetensors --candidates pruned50.safetensors --shipped pruned50=app.onnx\n\n"
    "Candidates may be state dicts, masks, channel-pruned networks, programs of torch.export (.pt2) and ONNX files,\n"
    "quantised ones too. A shipped file that gives other predictions than the network it is said to be ends with 1.",
)
@click.option("--parent", "ckpt", type=_FILE, required=True, help="The network that the candidates are compared with.")
@click.option(
    "--candidates", multiple=True, help="Networks to judge; several, or separated by commas; none: the parent."
)
@click.option(
    "--shipped",
    multiple=True,
    help="NAME=FILE: the file that is shipped as candidate NAME (or parent); held against it.",
)
@run_options("evaluate")
@click.option("--amend", is_flag=True, help="Continue a run folder with other options than it was begun with.")
@JSON
@click.pass_context
def command(
    ctx: click.Context,
    /,
    candidates: tuple[str, ...],
    shipped: tuple[str, ...],
    amend: bool,
    as_json: bool,
    **options: object,
) -> None:
    """Judge networks made by anyone (masked, channel-pruned, exported, quantised) against their parent, and report."""
    from evalsuite.cli._rerun import default_out, finished, request_digest

    spec = settled(options)
    files = candidate_names([Path(part.strip()) for value in candidates for part in value.split(",") if part.strip()])
    pairs = [_pair(part, files) for value in shipped for part in value.split(",") if part.strip()]
    out = spec.out or default_out(spec.ckpt)
    held = shipped_names(pairs, files)
    request = request_digest(spec, {**files, **{f"{name} shipped as {network}": file for name, network, file in held}})
    results = finished(out, request)
    if results is not None:
        echo(f"{out}: finished before, nothing to do", err=True)
    else:
        results = _run(spec, files, held, out, request, amend=amend)
    if as_json:
        write_json(results.document())
    else:
        from evalsuite.report.content.verdict import headline

        echo(*headline(results).split("\n"), f"report: {out / 'report.html'}")
    if spec.gate is not None:
        from evalsuite.cli.gate import gate_run

        ctx.exit(gate_run(out, spec.gate))
    ctx.exit(_code(results))


def _run(
    spec: "Spec",
    files: dict[str, Path],
    shipped: list[tuple[str, str, Path]],
    out: Path,
    request: str | None,
    *,
    amend: bool,
) -> "Results":
    import torch

    from evalsuite.cli._rerun import typed
    from evalsuite.config.build import build_evaluation_settings
    from evalsuite.config.build_inputs import build_candidate, build_inputs
    from evalsuite.config.caution import caution
    from evalsuite.pipeline import Candidate, Origin, ShippedFile, evaluate
    from evalsuite.progress import READING
    from evalsuite.records.heartbeat import recorded

    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    with recorded(reporter(), out) as progress:
        progress.start(READING, 0.0)
        loaded = build_inputs(spec)
        networks = {
            name: Candidate(read=partial(build_candidate, file, spec, loaded), file=file)
            for name, file in files.items()
        }
        held = [
            ShippedFile(id=name, tested_as=network, path=file, read=partial(build_candidate, file, spec, loaded))
            for name, network, file in shipped
        ]
        origin = Origin(
            command=typed(),
            request=request or "",
            amend=amend,
            full_paths=spec.full_paths,
            engine=spec.engine,
            **caution(spec),
        )
        settings = build_evaluation_settings(spec)
        return evaluate(loaded, networks, settings, out=out, origin=origin, reporter=progress, shipped=held)


def _pair(part: str, candidates: dict[str, Path]) -> tuple[str, Path]:
    """`NAME=FILE` → the network's name and the file."""
    name, equals, file = (each.strip() for each in part.partition("="))
    if not equals or not file:
        raise UsageError(f"--shipped: expected NAME=FILE, e.g. {next(iter(candidates), PARENT)}=app.onnx, got {part!r}")
    if name not in {PARENT, *candidates}:
        raise UnknownNameError("candidate", name, (PARENT, *candidates))
    return name, Path(file)


def _code(results: "Results") -> int:
    """1 where a shipped file is another network: that is known however much other evidence is missing."""
    if not all(each.holds for each in results.shipped):
        return 1
    return 0 if results.complete else 3
