"""`evalsuite plan`: what a sweep would compute."""

import click

from evalsuite.cli._console import write_json
from evalsuite.cli._options import JSON, given, judge_options, network_options, prune_options, run_options


@click.command(
    epilog="\b\nExamples:\n  evalsuite plan --ckpt model.safetensors --preset standard\n"
    "  evalsuite plan --config run.toml --json",
)
@network_options
@prune_options
@judge_options
@run_options
@JSON
def command(as_json: bool, **options: object) -> None:
    """Show what a sweep with the same options would compute, and the smallest drop that its examples can show."""
    from evalsuite.planning import outlook
    from evalsuite.spec import resolve

    found = outlook(resolve(given(options)))
    if as_json:
        write_json(found)
        return
    families = "1 family" if found["families"] == 1 else f"{found['families']} families"
    click.echo(f"{found['networks']} networks: the parent, {families} of {found['steps']} ratios")
    click.echo(f"{'task':40} {'examples':>8} {'shards':>6} {'passes':>12} {'smallest drop shown':>20}")
    rows = found["tasks"]
    assert isinstance(rows, list)  # noqa: S101 - for the type checker
    for row in rows:
        drop = row["unavailable"] or f"{row['smallest_margin']:.2%}"
        click.echo(f"{row['task']:40} {row['examples']:8} {row['shards']:6} {row['passes']:12.3g} {drop:>20}")
    click.echo(f"margin {found['margin']:.2%}: a task whose smallest drop is above it can only be inconclusive.")
