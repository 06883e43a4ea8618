"""`evalsuite status`: how far a run is."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import click

from evalsuite.cli._console import echo, write_json
from evalsuite.cli._options import JSON, RUN
from evalsuite.errors import UsageError

if TYPE_CHECKING:
    from evalsuite.records.heartbeat import Heartbeat
    from evalsuite.records.store import Store

_EVERY = 2.0
_HOME_AND_CLEAR = "\x1b[H\x1b[J"


@click.command(
    epilog="\b\nExamples:\n  evalsuite status reports/model\n  evalsuite status reports/model --watch\n"
    "  evalsuite status reports/model --json",
)
@RUN
@click.option("--watch", is_flag=True, help="Show it again every two seconds until the run ends.")
@JSON
@click.pass_context
def command(ctx: click.Context, run: Path, watch: bool, as_json: bool) -> None:
    """Show how far RUN is: stage, network, epoch, pace, time left, last error, and the shards stored of every task.

    The run is only read, whoever works on it meanwhile. Exit code 3 until it is complete.
    """
    status = _read(run)
    terminal = sys.stdout.isatty()
    while watch and status.goes_on:
        if not as_json:
            if terminal:
                click.echo(_HOME_AND_CLEAR, nl=False)
            echo(*status.lines(), "")
        time.sleep(_EVERY)
        status = _read(run)
    write_json(status.document()) if as_json else echo(*status.lines())
    ctx.exit(0 if status.complete else 3)


@final
@dataclass(frozen=True, kw_only=True)
class _TaskProgress:
    task: str
    done: int
    planned: int
    unavailable: str | None


@final
@dataclass(frozen=True, kw_only=True)
class _Status:
    run: Path
    complete: bool
    networks: int
    tasks: tuple[_TaskProgress, ...]
    heartbeat: "Heartbeat | None"

    @property
    def goes_on(self) -> bool:
        """Whether there is something to wait for."""
        return self.heartbeat is not None and self.heartbeat.sign() in {"working", "silent"}

    def stage(self) -> str:
        """One word or two: where the run is, or how it ended."""
        beat = self.heartbeat
        if beat is None or not self.goes_on:
            if self.complete:
                return "finished"
            return "not complete" if beat is None else _ending(beat)
        position = beat.position
        if position.stage == "Pruning" and position.epoch is not None:
            return "retraining"
        return position.stage.lower() or "starting"

    def document(self) -> dict[str, object]:
        """For machines."""
        beat = self.heartbeat
        facts: dict[str, object] = {"run": str(self.run), "stage": self.stage(), "complete": self.complete}
        if beat is not None:
            position = beat.position
            facts |= {
                "process": {
                    "id": beat.process,
                    "host": beat.host,
                    "state": beat.sign(),
                    "exit_code": beat.exit_code,
                    "seconds_since_last_word": round(beat.age(), 1),
                    "seconds_since_last_progress": round(max(0.0, time.time() - beat.moved), 1),
                },
                "network": position.network or None,
                "epoch": position.epoch,
                "epochs": position.epochs,
                "what": position.what or None,
                "share": position.share,
                "examples_per_second": position.rate,
                "seconds_left": position.left,
                "error": beat.error or None,
            }
        tasks = [
            {"task": row.task, "done": row.done, "planned": row.planned, "unavailable": row.unavailable}
            for row in self.tasks
        ]
        return {**facts, "networks": self.networks, "tasks": tasks}

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"{self.run}: {self.stage()}, {self.networks} networks", *self._process()]
        width = max((len(row.task) for row in self.tasks), default=0)
        lines += [f"  {row.task:{width}}  {row.unavailable or f'{row.done}/{row.planned}'}" for row in self.tasks]
        return lines

    def _process(self) -> list[str]:
        beat = self.heartbeat
        if beat is None:
            return (
                [] if self.complete else ["  no process has left word of its work; the run's own command continues it"]
            )
        lines: list[str] = []
        if self.goes_on:
            lines += [f"  {beat.position.line()}", f"  {_sign_of_life(beat)}"]
        elif not self.complete:
            lines.append(f"  {_last_word(beat)}")
        return lines + ([f"  last error: {beat.error}"] if beat.error and not self.complete else [])


def _read(run: Path) -> _Status:
    from evalsuite.records import heartbeat
    from evalsuite.records.store import reading

    beat = heartbeat.read(run)
    if not (run / "results.sqlite").exists():
        if beat is None:
            raise UsageError(f"expected a run folder, with results.sqlite or {heartbeat.FILE}, got {run}")
        return _Status(run=run, complete=False, networks=0, tasks=(), heartbeat=beat)
    with reading(run) as store:
        meta = store.meta()
        return _Status(
            run=run,
            complete=meta.complete,
            networks=store.network_count() if meta.members is None else len(meta.members),
            tasks=tuple(_tasks(store)),
            heartbeat=beat,
        )


def _tasks(store: "Store") -> list[_TaskProgress]:
    from evalsuite.records.store import NO_OTHER

    tasks = store.tasks()
    if not tasks:
        return []
    seed, digests = store.evaluated_meta().run.seed, {network.digest for network in store.networks()}
    rows: list[_TaskProgress] = []
    for task in tasks:
        present = store.present(task.digest, seed)
        rows.append(
            _TaskProgress(
                task=task.name,
                done=sum((digest, shard, NO_OTHER) in present for digest in digests for shard in task.shards),
                planned=0 if task.unavailable else len(task.shards) * len(digests),
                unavailable=task.unavailable,
            )
        )
    return rows


def _ending(beat: "Heartbeat") -> str:
    match beat.sign():
        case "finished":
            return "finished, evidence incomplete"
        case "stopped":
            how = "interrupted" if beat.exit_code in {130, 143} else "stopped"
            return f"{how} (exit code {beat.exit_code})"
        case sign:
            return sign


def _sign_of_life(beat: "Heartbeat") -> str:
    from evalsuite.progress import clock

    still = max(0.0, time.time() - beat.moved)
    if beat.sign() == "silent":
        return f"no word of process {beat.process} on {beat.host} for {clock(beat.age())}: killed, or cut off"
    return f"process {beat.process} on {beat.host} works; last progress {clock(still)} ago"


def _last_word(beat: "Heartbeat") -> str:
    from evalsuite.progress import clock

    what = ", ".join(piece for piece in (beat.position.stage.lower(), beat.position.network) if piece)
    gone = (
        f"process {beat.process} on {beat.host} is gone" if beat.sign() == "killed" else f"process {beat.process} ended"
    )
    return f"{gone}, {clock(beat.age())} ago at {what or 'the start'}; the run's own command continues it"
