"""`evalsuite sweep`: the whole way, from a checkpoint to a report and a verdict."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalsuite.cli._console import echo, reporter, write_json
from evalsuite.cli._options import JSON, run_options, settled

if TYPE_CHECKING:
    from evalsuite.config.options import Spec
    from evalsuite.records.schema import Results


@click.command(
    epilog="\b\nExamples:\n"
    "  evalsuite sweep --ckpt model.safetensors\n"
    "  evalsuite sweep --ckpt resnet18.pt --arch torchvision:resnet18 --data folder:photos --preset standard\n"
    "  evalsuite sweep --ckpt model.pt --arch resnet20 --data cifar10 --pruner magnitude,filter-norm \\\n"
    "      --ratios 0.3:0.9:0.1,0.95 --tasks clean,corruption/all/3,adversarial/linf/0.0314 --gate policy.toml\n"
    "  evalsuite sweep --config reports/model/run.toml\n\n"
    "The same command run again continues; when all is done it does nothing.",
)
@run_options("sweep")
@click.option("--amend", is_flag=True, help="Continue a run folder with other options than it was begun with.")
@JSON
@click.pass_context
def command(ctx: click.Context, /, amend: bool, as_json: bool, **options: object) -> None:
    """Prune a network at increasing ratios, judge every one on every task, and report how far it can go."""
    from evalsuite.cli._rerun import default_out, finished, request_digest

    spec = settled(options)
    out = spec.out or default_out(spec.ckpt)
    request = request_digest(spec)
    results = finished(out, request)
    if results is not None:
        echo(f"{out}: finished before, nothing to do", err=True)
    else:
        results = _run(spec, out, request, amend=amend)
    if as_json:
        write_json(results.document())
    else:
        _tell(results, out)
    if spec.gate is not None:
        from evalsuite.cli.gate import gate_run

        ctx.exit(gate_run(out, spec.gate))
    ctx.exit(0 if results.complete else 3)


def _run(spec: "Spec", out: Path, request: str | None, *, amend: bool) -> "Results":
    import torch

    from evalsuite.cli._rerun import typed
    from evalsuite.config.build import build_evaluation_settings, build_pruning_settings
    from evalsuite.config.build_inputs import build_inputs
    from evalsuite.config.caution import caution
    from evalsuite.pipeline import Origin, run
    from evalsuite.progress import READING
    from evalsuite.records.heartbeat import recorded

    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    evaluation = build_evaluation_settings(spec)
    with recorded(reporter(), out) as progress:
        progress.start(READING, 0.0)
        loaded = build_inputs(spec)
        options = {**spec.document(), "data": loaded.dataset.name}
        origin = Origin(
            command=typed(),
            request=request or "",
            options=options,
            amend=amend,
            full_paths=spec.full_paths,
            engine=spec.engine,
            **caution(spec),
        )
        pruning = build_pruning_settings(spec, loaded)
        return run(loaded, pruning, evaluation, out=out, origin=origin, reporter=progress)


def _tell(results: "Results", out: Path) -> None:
    from evalsuite.report.content.verdict import headline

    echo(*headline(results).split("\n"), f"report: {out / 'report.html'}")
