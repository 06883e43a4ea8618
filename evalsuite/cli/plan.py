"""`evalsuite plan`: what a sweep would compute, and how long it would take."""

from typing import cast

import click

from evalsuite.cli._console import echo, reporter, write_json
from evalsuite.cli._options import JSON, run_options, settled

_BAR = 24
Planned = dict[str, object]


@click.command(
    epilog="\b\nExamples:\n  evalsuite plan --ckpt model.safetensors --preset standard\n"
    "  evalsuite plan --config run.toml --json\n"
    "  evalsuite plan --ckpt model.safetensors --preset safety --no-time",
)
@run_options("plan")
@click.option("--no-time", is_flag=True, help="Time nothing: only count.")
@JSON
def command(no_time: bool, as_json: bool, **options: object) -> None:
    """Show what a sweep with the same options would compute and take, and the smallest drop that it can show.

    Times and memory are estimates: a batch of every task and a few training steps are run on the parent.
    """
    import torch

    from evalsuite.preview.sweep_plan import outlook

    spec = settled(options)
    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    planned = outlook(spec, reporter=None if no_time else reporter())
    if as_json:
        write_json(planned)
        return
    _networks(planned)
    _tasks(planned)
    if planned["estimate"] is not None:
        _times(cast(Planned, planned["estimate"]))


def _networks(planned: Planned) -> None:
    families = "1 family" if planned["families"] == 1 else f"{planned['families']} families"
    echo(f"{planned['networks']} networks: the parent, {families} of {planned['steps']} ratios")
    sides = " x ".join(map(str, cast("list[int]", planned["images"])))
    applied = cast("dict[str, list[float]]", planned["normalisation"])
    mean, std = (", ".join(f"{number:.4g}" for number in applied[key]) for key in ("mean", "std"))
    echo(f"images: {sides} (channels, height, width); the network normalises them by mean {mean}, std {std}")


def _tasks(planned: Planned) -> None:
    echo("", f"{'task':40} {'examples':>8} {'shards':>6} {'passes':>12} {'smallest drop shown':>20}")
    for row in cast("list[Planned]", planned["tasks"]):
        drop = row["unavailable"] or f"{row['smallest_margin']:.2%}"
        echo(f"{row['task']:40} {row['examples']:8} {row['shards']:6} {row['passes']:12.3g} {drop:>20}")
    echo(f"margin {planned['margin']:.2%}: a task whose smallest drop is above it can only be inconclusive.")


def _times(estimate: Planned) -> None:
    from evalsuite.progress import clock

    rows = cast("list[Planned]", estimate["parts"])
    echo("", f"about {clock(cast(float, estimate['seconds']))} on {estimate['device']}; what costs most:", "")
    echo(f"{'':40} {'time':>12} {'memory':>9}  {'share':<{_BAR + 5}} timed on")
    for row in rows:
        share = cast(float, row["share"])
        bar = "█" * round(_BAR * share)
        memory = "" if row["megabytes"] is None else f"{row['megabytes']:,.0f} MB"
        basis = f"{row['examples']} examples" if row["basis"] == "measured" else "a pass, times their number"
        time = clock(cast(float, row["seconds"]))
        echo(f"{row['what']:40} {time:>12} {memory:>9}  {share:4.0%} {bar:<{_BAR}} {basis}")
    most = estimate["peak_megabytes"]
    if most is not None:
        echo(f"at most about {most:,.0f} MB of memory of {estimate['memory_of']}")
    echo(f"estimates, as if every network were as slow as the parent; not counted: {estimate['not_counted']}.")
