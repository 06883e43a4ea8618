"""`evalsuite status`: how far a run is."""

from pathlib import Path

import click

from evalsuite.cli._console import write_json
from evalsuite.cli._options import JSON, RUN


@click.command(epilog="\b\nExamples:\n  evalsuite status reports/model\n  evalsuite status reports/model --json")
@RUN
@JSON
@click.pass_context
def command(ctx: click.Context, run: Path, as_json: bool) -> None:
    """Show how far RUN is: shards that are stored of those that are planned, by task. Exit code 3 until complete."""
    from evalsuite.store import ALONE, opened

    with opened(run) as store:
        meta, tasks = store.meta(), store.tasks()
        networks = [store.network(made_from) for made_from in meta.get("members", [])]
        digests = {network["digest"] for network in networks if network}
        rows: list[dict[str, object]] = []
        for task in tasks:
            planned = 0 if task["unavailable"] else len(task["shards"]) * len(digests)
            present = store.present(task["digest"], meta["run"]["seed"])
            done = sum((d, shard, ALONE) in present for d in digests for shard in task["shards"])
            rows.append({"task": task["name"], "done": done, "planned": planned, "unavailable": task["unavailable"]})
    complete = bool(meta.get("complete"))
    if as_json:
        write_json({"complete": complete, "networks": len(networks), "tasks": rows})
    else:
        click.echo(f"{run}: {'complete' if complete else 'not complete'}, {len(networks)} networks")
        for row in rows:
            click.echo(f"  {row['task']!s:40} {row['unavailable'] or '{done}/{planned}'.format(**row)}")
    ctx.exit(0 if complete else 3)
