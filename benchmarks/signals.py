"""Does every signal that ends a run end it rightly, at whatever moment it comes, and does the same command continue?

    OMP_NUM_THREADS=1 python benchmarks/signals.py [--signals 50] [--first 0] [--start-up 0.5]

A sweep with retraining, an attack and a certificate is left alone once. Then it is begun again and again, in processes
of its own, and each is sent SIGINT, SIGTERM or SIGHUP at a random moment - of its start-up or of its work - until that
many were sent. A folder that was torn is continued until the sweep is through; its results must be those of the first.

An exit code is right if it is that of the signal, or 0 where the process was through before it could notice: then the
results are there and complete. A process that ends by the signal itself, before Python has read its first line of
evalsuite, counts as right too: a shell shows the same code.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
OPTIONS = (
    *("--pruner", "magnitude,filter-norm", "--ratios", "0.4,0.8", "--retrain", "standard", "--epochs", "2"),
    *("--tasks", "clean,corruption/fog/1-3,adversarial/linf/0.05?attack=pgd,certified/l2/0.1?sigma=0.1&n0=20&n=100"),
    *("--examples", "300", "--examples-for", "certified=32", "--margin", "0.5", "--threads", "1"),
)
TIMES = frozenset({"seconds", "created", "latency_ms", "throughput_ms", "command", "id", "results"})
"""Keys of results.json that tell when, where and how fast, not what."""
QUICK = 3.0
"""Seconds after which a process that goes on has lost its signal, on a machine that is not busy."""


@final
@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one process ended.

    Attributes:
        signal: That it was sent.
        after: Seconds after its start.
        took: Seconds from the signal to its end.
        code: Its exit code, as a shell shows it.
        raw: Whether it died by the signal itself.
        said: What stands on stderr.
    """

    signal: signal.Signals
    after: float
    took: float
    code: int
    raw: bool
    output: str

    def wrong(self, results: Path) -> str:
        """What is wrong with it; empty if nothing is."""
        through = self.code == 0 and results.exists() and json.loads(results.read_text())["complete"]
        if self.code != CODES[self.signal] and not through:
            return f"exit code {self.code}"
        if self.code == 0 and self.took > QUICK:
            return f"it went on for {self.took:.1f} s"
        if self.code != 0 and not self.raw and "the same command continues" not in self.output:
            return "it does not say that the same command continues"
        return "a traceback" if "Traceback" in self.output and not self.raw else ""


def start(arguments: Sequence[str]) -> "subprocess.Popen[str]":
    """A process of its own; signals that this one ignores are not ignored there."""
    command = [sys.executable, "-m", "evalsuite", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def stopped(arguments: Sequence[str], how: signal.Signals, after: float) -> Ended | None:
    """Start, wait, send; None where the process was through before."""
    process = start(arguments)
    time.sleep(after)
    if process.poll() is not None:
        process.communicate()
        return None
    process.send_signal(how)
    began = time.monotonic()
    _, text = process.communicate(timeout=600)
    code = process.returncode
    return Ended(
        signal=how,
        after=after,
        took=time.monotonic() - began,
        code=128 - code if code < 0 else code,
        raw=code < 0,
        output=text,
    )


def timeless(value: object) -> object:
    """Results less what tells when, where and how fast, and less the digest of all that."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def results(folder: Path) -> object:
    """What a run found."""
    return timeless(json.loads((folder / "results.json").read_text(encoding="utf-8")))


def main() -> int:
    """Tear and continue; 0 if all is right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signals", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="seed of the moments")
    parser.add_argument("--start-up", type=float, default=0.5, help="share of signals that come in the first seconds")
    requested = parser.parse_args()
    for each in CODES:
        signal.signal(each, signal.SIG_DFL if each != signal.SIGINT else signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="signals-") as place:
        return tear(Path(place), requested.signals, random.Random(requested.first), requested.start_up)  # noqa: S311 - moments


def tear(place: Path, signals: int, chance: random.Random, start_up: float) -> int:
    """Send so many signals; the number of processes and folders that came out wrong."""
    parent = place / "parent.safetensors"
    train = ["train", "--arch", "lenet5", "--data", "digits", "--epochs", "4", "--out", str(parent)]
    assert start(train).wait() == 0
    began = time.monotonic()
    assert start(command(parent, place / "whole")).wait() == 0
    whole, expected = time.monotonic() - began, results(place / "whole")
    print(f"left alone the sweep takes {whole:.1f} s", flush=True)
    torn, sent, wrong = [place / "torn-0"], 0, 0
    counts: Counter[str] = Counter()
    while sent < signals:
        after = chance.uniform(0, min(4.0, whole)) if chance.random() < start_up else chance.uniform(0, whole)
        ended = stopped(command(parent, torn[-1]), chance.choice(list(CODES)), after)
        if ended is None or ended.code == 0:
            torn.append(place / f"torn-{len(torn)}")
        if ended is None:
            continue
        sent += 1
        reason = ended.wrong(torn[-2 if ended.code == 0 else -1] / "results.json")
        wrong += bool(reason)
        counts[f"{ended.code}{' (by the signal itself)' if ended.raw else ''}"] += 1
        line = f"{sent:3} {ended.signal.name:8} after {ended.after:5.2f} s: {ended.code:3}, {ended.took:.2f} s later"
        print(f"{line} {reason and 'WRONG: ' + reason}{' (raw)' * ended.raw}", flush=True)
        if reason:
            print(ended.output, flush=True)
    assert start(command(parent, torn[-1])).wait() == 0
    for folder in torn:
        if (folder / "results.json").exists() and results(folder) != expected:
            wrong += 1
            print(f"WRONG: {folder.name} has other results than the run that was left alone")
    print(f"{sent} signals, {len(torn)} runs: {wrong} wrong; exit codes: {dict(counts)}")
    return int(wrong > 0)


def command(parent: Path, out: Path) -> list[str]:
    """The sweep that is torn."""
    return ["sweep", "--ckpt", str(parent), "--out", str(out), *OPTIONS]


if __name__ == "__main__":
    sys.exit(main())
