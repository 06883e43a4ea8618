"""`evalsuite prune`: only the networks."""

import click

from evalsuite.cli._console import echo, reporter, write_json
from evalsuite.cli._options import JSON, given, run_options


@click.command(
    epilog="\b\nExamples:\n  evalsuite prune --ckpt model.safetensors --pruner filter-norm --ratios 0.5,0.8\n"
    "  evalsuite prune --ckpt model.safetensors --preset standard --out pruned",
)
@run_options("prune")
@JSON
def command(as_json: bool, **options: object) -> None:
    """Make the family: prune (and retrain) a network at increasing ratios; networks go to OUT/networks."""
    import torch

    from evalsuite.cli._rerun import default_out, typed
    from evalsuite.config.build import build_pruning_settings
    from evalsuite.config.build_inputs import build_inputs
    from evalsuite.config.caution import caution
    from evalsuite.config.spec import resolve
    from evalsuite.pipeline import Origin, only_prune
    from evalsuite.progress import READING
    from evalsuite.records.heartbeat import recorded

    spec = resolve(given(options))
    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    out = spec.out or default_out(spec.ckpt)
    with recorded(reporter(), out) as progress:
        progress.start(READING, 0.0)
        loaded = build_inputs(spec)
        origin = Origin(command=typed(), **caution(spec))
        settings = build_pruning_settings(spec, loaded)
        networks = only_prune(loaded, settings, out=out, seed=spec.seed, origin=origin, reporter=progress)
    if as_json:
        write_json({"networks": [network.document() for network in networks]})
        return
    for network in networks:
        echo(
            f"{network.id:32} pruned {network.prune_ratio:6.1%}  FLOPs -{network.flop_reduction:6.1%}  "
            f"{out / (network.file or '')}"
        )
