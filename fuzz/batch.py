"""Runs mutated inputs of one target in a child process with limits, so that a death is that of one input."""

import faulthandler
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, final

from fuzz.effects import Effects
from fuzz.oracle import CPU_SECONDS, FINDINGS, Outcome, judged, now
from fuzz.target import Target, mutant

_PATIENCE: Final = 300.0
"""Seconds of the clock that one input may take: whatever waits for nothing takes no time of the processor."""
_LIMIT: Final = 4 * 2**30
"""Bytes by which a child may grow before the system refuses: another guard than the measured growth of an input."""


@final
@dataclass(frozen=True, kw_only=True)
class Finding:
    """The smallest input of one cause."""

    kind: str
    key: str
    detail: str
    number: int
    data: bytes


@final
@dataclass(kw_only=True)
class Tally:
    """What became of the inputs of one target."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)

    def add(self, number: int, outcome: Outcome, data: bytes) -> None:
        """One more."""
        self.inputs += 1
        self.kinds[outcome.kind] += 1
        if outcome.kind in FINDINGS:
            cause = outcome.kind, outcome.key
            if cause not in self.findings or len(data) < len(self.findings[cause].data):
                self.findings[cause] = Finding(number=number, data=data, **asdict(outcome))


def run(target: Target, *, shared: Path, seed: int, first: int, seconds: float, inputs: int | None) -> Tally:
    """Mutated inputs of `target` from number `first` on, for so many seconds or inputs, whatever comes first.

    What corpora are made from is kept in `shared`, for other targets.

    Raises:
        RuntimeError: The target's corpus cannot be made, or an honest input is not read.
    """
    tally = Tally(target=target.name)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        folder = Path(scratch)
        corpus = _corpus(target, folder, shared)
        number, stop = first, first + inputs if inputs is not None else sys.maxsize
        while number < stop and tally.seconds < seconds:
            began = now()
            number = _child(
                target, corpus, folder, tally, seed=seed, first=number, stop=stop, left=seconds - tally.seconds
            )
            tally.seconds += now() - began
    return tally


def replayed(target: Target, data: bytes) -> Outcome:
    """What becomes of one input."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            _run_and_leave(lambda: _tell(writer, 0, _judged_alone(target, data, Path(scratch))))
        os.close(writer)
        lines = list(_lines(reader))
        _, status = os.waitpid(child, 0)
    return _outcome(json.loads(lines[-1][2:])) if lines else _death(status)


def _corpus(target: Target, folder: Path, shared: Path) -> tuple[bytes, ...]:
    """Made in a child: what its makers leave behind in the process is no part of the run."""
    place = folder / "corpus"
    place.mkdir()
    child = os.fork()
    if not child:
        _run_and_leave(lambda: _make_corpus(target, place, shared))
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(f"{target.name}: expected a corpus, got {(place / 'error').read_text(encoding='utf-8')}")
    return tuple(file.read_bytes() for file in sorted(place.glob("seed-*")))


def _make_corpus(target: Target, place: Path, shared: Path) -> None:
    try:
        os.chdir(shared)
        for number, data in enumerate(target.corpus(shared)):
            (place / f"seed-{number:04}").write_bytes(data)
    except BaseException:
        (place / "error").write_text(traceback.format_exc(), encoding="utf-8")
        raise


def _child(
    target: Target,
    corpus: tuple[bytes, ...],
    folder: Path,
    tally: Tally,
    *,
    seed: int,
    first: int,
    stop: int,
    left: float,
) -> int:
    """The number of the first input that was not tried."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _run_and_leave(lambda: _work(target, corpus, folder, writer, seed=seed, first=first, stop=stop, left=left))
    os.close(writer)
    at, open_input, warm = first, False, False
    for line in _lines(reader, child):
        kind, _, rest = line.partition(" ")
        if kind == "W":
            warm = True
        elif kind == "S":
            at, open_input = int(rest), True
        else:
            tally.add(at, _outcome(json.loads(rest)), mutant(target, corpus, seed, at))
            at, open_input = at + 1, False
    _, status = os.waitpid(child, 0)
    if open_input or not warm:  # some input that the others are made from ends the process
        tally.add(at, _death(status), mutant(target, corpus, seed, at))
        at += 1
    return at


def _work(
    target: Target,
    corpus: tuple[bytes, ...],
    folder: Path,
    writer: int,
    *,
    seed: int,
    first: int,
    stop: int,
    left: float,
) -> None:
    scratch = _scratch(folder)
    for data in corpus:  # what is imported and cached on the first call is no cost of an input
        _quietly(target, data, scratch)
    os.write(writer, b"W\n")
    resource.setrlimit(resource.RLIMIT_DATA, (_data_size() + _LIMIT, resource.RLIM_INFINITY))
    effects, end = Effects(folder), now() + left
    for number in range(first, stop):
        if now() > end:
            return
        data = mutant(target, corpus, seed, number)
        os.write(writer, f"S {number}\n".encode())
        # ends the process, also where it never comes back from native code
        signal.setitimer(signal.ITIMER_PROF, 2 * CPU_SECONDS)
        outcome = judged(lambda data=data: target.read(data, scratch), effects)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _tell(writer, number, outcome)


def _judged_alone(target: Target, data: bytes, folder: Path) -> Outcome:
    scratch = _scratch(folder)
    signal.setitimer(signal.ITIMER_PROF, 12 * CPU_SECONDS)
    _quietly(target, data, scratch)  # what is imported on the first call is no effect of the input
    signal.setitimer(signal.ITIMER_PROF, 2 * CPU_SECONDS)
    return judged(lambda: target.read(data, scratch), Effects(folder))


def _quietly(target: Target, data: bytes, scratch: Path) -> None:
    try:
        target.read(data, scratch)
    except Exception:  # noqa: BLE001 - the mutated inputs will tell
        return


def _scratch(folder: Path) -> Path:
    scratch = folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    os.chdir(scratch)
    return scratch


def _tell(writer: int, number: int, outcome: Outcome) -> None:
    del number
    os.write(writer, f"E {json.dumps(asdict(outcome))}\n".encode())


def _outcome(fields: dict[str, str]) -> Outcome:
    return Outcome(**fields)  # type: ignore[arg-type]  # as it was written


def _death(status: int) -> Outcome:
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return Outcome(kind="time" if name == "SIGPROF" else "death", key=name, detail=f"ended by {name}")
    return Outcome(kind="death", key=f"exit {os.waitstatus_to_exitcode(status)}", detail="left the process")


def _run_and_leave(work: object) -> None:
    """Runs `work` in a child, in silence; never comes back."""
    assert callable(work)
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    warnings.simplefilter("ignore")
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    code = 70
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def _lines(reader: int, child: int | None = None) -> Iterator[str]:
    """Lines of a pipe until it is closed; a child that says nothing for long is ended."""
    rest = b""
    while True:
        ready, _, _ = select.select([reader], [], [], _PATIENCE)
        if not ready and child is not None:
            os.kill(child, signal.SIGKILL)
            continue
        piece = os.read(reader, 1 << 16)
        if not piece:
            break
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.decode() for line in whole)
    os.close(reader)


def _data_size() -> int:
    """Bytes of private memory that this process has mapped; none is known elsewhere than on Linux."""
    if sys.platform != "linux":
        return 2**40
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 2**40
