"""`evalsuite evaluate`: judge networks that others made."""

from pathlib import Path

import click

from evalsuite.cli._console import reporter, write_json
from evalsuite.cli._options import JSON, given, judge_options, run_options

_FILE = click.Path(path_type=Path)


@click.command(
    epilog="\b\nExamples:\n"
    "  evalsuite evaluate --parent model.safetensors --candidates pruned50.safetensors,pruned80.safetensors\n"
    "  evalsuite evaluate --parent resnet20.pt --candidates masked.pt --arch resnet20 --data cifar10\n"
    "  evalsuite evaluate --parent resnet18.pt --arch resnet18 --data cifar10 --preset robustbench",
)
@click.option("--parent", "ckpt", type=_FILE, required=True, help="The network that the candidates are compared with.")
@click.option(
    "--candidates", multiple=True, help="Networks to judge; several, or separated by commas; none: the parent."
)
@click.option("--arch", help="For state dicts: as for sweep.")
@click.option("--data", help="As for sweep.")
@click.option("--trust", multiple=True, help="sha256:... of a pickle that may run its code.")
@click.option("--device", help="cpu, cuda, cuda:1, or auto (default).")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads (default: all).")
@click.option("--seed", type=click.IntRange(min=0), help="The run's seed.")
@judge_options
@run_options
@click.option("--amend", is_flag=True, help="Continue a run folder with other options than it was begun with.")
@JSON
@click.pass_context
def command(ctx: click.Context, /, candidates: tuple[str, ...], amend: bool, as_json: bool, **options: object) -> None:
    """Judge masked or channel-pruned networks made by anyone against their parent, and report."""
    import torch

    from evalsuite.cli._typed import default_out, typed
    from evalsuite.pipeline import Origin, evaluate
    from evalsuite.resolve import candidate, inputs, judging
    from evalsuite.spec import resolve

    spec = resolve(given({**options, "trust": options.get("trust") or None}))
    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    out, loaded = spec.out or default_out(spec.ckpt), inputs(spec)
    files = [Path(part.strip()) for value in candidates for part in value.split(",") if part.strip()]
    networks = {file.stem: candidate(file, spec, loaded) for file in files}
    origin = Origin(command=typed(), options=None, amend=amend)
    results = evaluate(loaded, networks, judging(spec), out=out, origin=origin, reporter=reporter())
    if as_json:
        write_json(results)
    else:
        from evalsuite.report.verdict import headline

        click.echo(headline(results))
        click.echo(f"report: {out / 'report.html'}")
    if spec.gate is not None:
        from evalsuite.cli.gate import gate

        ctx.exit(gate(results, spec.gate, out / "junit.xml"))
    ctx.exit(0 if results["complete"] else 3)
