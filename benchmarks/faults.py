"""Does a run survive whatever happens at any moment at which it writes?

    OMP_NUM_THREADS=1 python benchmarks/faults.py [--points 0] [--faults killed,terminated,full]

A small sweep is left alone once, and its write points are counted: every file that is opened to be written, renamed,
removed, every folder that is made, every statement of the database that changes it. Then it is begun anew for every
point (or for that many, spread evenly) and every fault: at that point the process is killed, or sent SIGTERM, or from
there on no file can grow, as on a full disk. The same command is run again, and has to end with the same results, with
nothing half-written left. Processes are forks of one that has read the libraries.
"""

import argparse
import io
import json
import os
import resource
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from signals import timeless

from evalsuite.cli import cli
from evalsuite.cli._console import guarded
from evalsuite.data import load
from evalsuite.engines import local  # noqa: F401 - read once, before the forks
from evalsuite.networks.architectures.by_name import build
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, write
from evalsuite.networks.normalized import Normalized
from evalsuite.pipeline import run  # noqa: F401 - likewise
from evalsuite.training import named, train

OPTIONS = (
    *("--ratios", "0.5,0.8", "--retrain", "standard", "--epochs", "1", "--tasks", "clean,noise/uniform/0.1"),
    *("--examples", "60", "--margin", "0.9"),
)
CHANGES = ("INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "BEGIN", "COMMIT")
_CONNECT = sqlite3.connect
Fault = Callable[[], None]


def killed() -> None:
    """No last words."""
    os.kill(os.getpid(), signal.SIGKILL)


def terminated() -> None:
    """As a scheduler does it."""
    os.kill(os.getpid(), signal.SIGTERM)


def full() -> None:
    """From now on no file can grow; Python has the signal that comes with it ignored."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


FAULTS: dict[str, tuple[Fault, int]] = {"killed": (killed, -9), "terminated": (terminated, 143), "full": (full, 2)}
"""What happens, and how the process has to end then."""


@final
@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one process ended: exit code, stderr, and how many write points it passed."""

    code: int
    spoken: str
    points: int


@final
class Points:
    """Counts the write points in a folder, and lets something happen at one of them."""

    def __init__(self, folder: Path, at: int, fault: Fault) -> None:
        self._folder, self._at, self._fault, self.passed = str(folder), at, fault, 0
        sys.addaudithook(self._hear)
        sqlite3.connect = self._connected  # type: ignore[assignment]

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        match event, arguments:
            case "open", (path, _, int(flags)) if flags & (os.O_WRONLY | os.O_RDWR):
                self._pass(path)
            case (("os.mkdir" | "os.remove" | "os.rename"), (path, *_)):
                self._pass(path)

    def _connected(self, *arguments: object, **options: object) -> sqlite3.Connection:
        database = _CONNECT(*arguments, **options)  # type: ignore[call-overload]
        database.set_trace_callback(self._change)
        return database

    def _change(self, statement: str) -> None:
        if statement.startswith(CHANGES):
            self._pass(self._folder)

    def _pass(self, path: object) -> None:
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self._folder):
            self.passed += 1
            if self.passed == self._at:
                self._fault()


def sweep(parent: Path, out: Path, at: int, fault: Fault) -> Ended:
    """The sweep in a process of its own, with a fault at a write point; 0: none."""
    output, points = (os.pipe() for _ in range(2))
    process = os.fork()
    if process == 0:
        _work(parent, out, Points(out, at, fault), output[1], points[1])
    for end in (output[1], points[1]):
        os.close(end)
    with open(output[0], "rb") as words, open(points[0], "rb") as passed:  # noqa: PTH123 - descriptors
        text, count = words.read().decode(errors="replace"), passed.read()
    _, status = os.waitpid(process, 0)
    return Ended(code=os.waitstatus_to_exitcode(status), spoken=text, points=int(count or 0))


def _work(parent: Path, out: Path, points: Points, spoken: int, counted: int) -> None:
    """The forked process: never returns."""
    code = 99
    try:
        for stream in (1, 2):
            os.dup2(spoken, stream)
        sys.stdout = sys.__stdout__ = io.TextIOWrapper(io.FileIO(1, "w"), write_through=True)
        sys.stderr = sys.__stderr__ = io.TextIOWrapper(io.FileIO(2, "w"), write_through=True)
        sys.argv = ["evalsuite", "sweep", "--ckpt", str(parent), "--out", str(out), *OPTIONS]
        guarded(cli)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 99
    finally:
        with suppress(OSError):
            os.write(counted, str(points.passed).encode())
        os._exit(code)


def trained(path: Path) -> None:
    """A small network of the digits."""
    bare = build("lenet5", classes=10, channels=1, image_size=8, seed=0)
    examples = load("digits").train
    assert examples is not None
    recipe = named("standard?epochs=4&batch_size=32", architecture="lenet5", data="digits")
    network = train(Normalized(bare, (0.3,), (0.4,)), examples, recipe, seed=0, device=torch.device("cpu")).eval()
    digits = tuple(map(str, range(10)))
    write(
        path,
        Checkpoint(network=network, arch="lenet5", class_count=10, classes=digits, shape=(1, 8, 8), data="digits"),
    )


def results(out: Path) -> object:
    """What a run found, less times."""
    return timeless(json.loads((out / "results.json").read_text(encoding="utf-8")))


def wrong(parent: Path, out: Path, at: int, fault: str, expected: object) -> tuple[Ended, str]:
    """One fault at one point: how the process ended, and what is wrong with that or with what follows."""
    happens, code = FAULTS[fault]
    ended = sweep(parent, out, at, happens)
    if ended.code not in {code, 0} or "Traceback" in ended.spoken:
        return ended, f"exit code {ended.code}"
    # progress of a run is told to whoever asks, and a run goes on without it
    if ended.code == 0 and results(out) != expected:
        return ended, "exit code 0 with other results"
    again = sweep(parent, out, 0, happens)
    if again.code != 0:
        return again, f"the same command ends with {again.code}"
    if results(out) != expected:
        return again, "other results"
    left = [path.name for path in out.rglob(".*")]
    return ended, f"left behind: {left}" if left else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """All faults at all points; 0 if all is right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=0, help="how many, spread evenly; 0: all")
    parser.add_argument("--faults", default=",".join(FAULTS))
    requested = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        folder = Path(place)
        trained(folder / "parent.safetensors")
        whole = sweep(folder / "parent.safetensors", folder / "whole", 0, killed)
        assert whole.code == 0, whole.spoken
        expected, total = results(folder / "whole"), whole.points
        count = min(requested.points or total, total)
        places = sorted({1 + k * (total - 1) // max(1, count - 1) for k in range(count)})
        bad = 0
        for fault in requested.faults.split(","):
            counts: Counter[str] = Counter()
            for at in places:
                ended, reason = wrong(folder / "parent.safetensors", folder / "run", at, fault, expected)
                last = (ended.spoken.strip().splitlines() or [""])[-1]
                counts[f"{ended.code}: {last.replace(place, '')}" if ended.code else "0"] += 1
                if reason:
                    bad += 1
                    print(f"WRONG: {fault} at point {at}: {reason}\n{ended.spoken}", flush=True)
                shutil.rmtree(folder / "run", ignore_errors=True)
            print(f"{fault} at {len(places)} of {total} points:", flush=True)
            for printed, times in counts.most_common():
                print(f"  {times:4} x {printed[:200]}", flush=True)
    print(f"{bad} wrong", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
