"""What it costs to read a checkpoint in a child process, in time and in memory.

    OMP_NUM_THREADS=1 python benchmarks/reading.py [--write] [--repetitions 7]

Each file is parsed by the same code in the process itself and in a child with limits, in turn.
"""

import argparse
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import safetensors.torch
import torch
from torch import Tensor

from evalsuite.networks.checkpoints import _formats

RESULT = Path(__file__).parent / "results" / "reading.md"
SMALL, LARGE = 10, 200
"""Layers of the two networks; a layer is a megabyte."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of reading a file once.

    Attributes:
        seconds: Of the processor until the tensors are there, of the process and its child.
        memory: Megabytes at most beyond those before, of both and of what is handed over, each page once.
        kept: Megabytes beyond those before while the tensors are kept.
    """

    seconds: float
    memory: float
    kept: float


def here(path: Path) -> object:
    """Reads, hashes and parses in this process."""
    data = path.read_bytes()
    _formats.hashlib.sha256(data).hexdigest()
    return _formats._parsed(path, data)  # noqa: SLF001 - what runs in the child


def apart(path: Path) -> object:
    """As the project does."""
    return _formats.read_contents(path, frozenset())


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Checkpoints of both sizes in all formats."""
    for size in (SMALL, LARGE):
        tensors = {f"layer{number}.weight": torch.rand(512, 512) for number in range(size)}
        for kind, write in WRITERS.items():
            path = folder / f"{kind}-{size}"
            write(tensors, path)
            yield f"{kind}, {path.stat().st_size / 1e6:.0f} MB", path


WRITERS: Mapping[str, Callable[[dict[str, Tensor], Path], object]] = {
    "torch.save": torch.save,
    "torch.save before 1.6": lambda tensors, path: torch.save(tensors, path, _use_new_zipfile_serialization=False),
    "safetensors": safetensors.torch.save_file,
}


def cost(read: Callable[[Path], object], path: Path, *, watch: bool) -> Cost:
    """Of reading in a fresh process; watching it takes time of its own, so that one of the two is measured."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        began = processor()
        kept = read(path)
        os.write(writes, repr(processor() - began).encode())
        time.sleep(1 if watch else 0)
        os._exit(0 if kept is not None else 1)
    os.close(writes)
    observed = list(watched(child)) if watch else [0.0]
    _, status = os.waitpid(child, 0)
    assert status == 0
    with os.fdopen(reads, "rb") as message:
        seconds = float(message.read())
    # most of the watching is done while the tensors are kept
    return Cost(seconds=seconds, memory=max(observed) - observed[0], kept=median(observed) - observed[0])


def processor() -> float:
    """Seconds of this process and of its children that have ended; what else the machine does counts little."""
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(each.ru_utime + each.ru_stime for each in used)


def watched(process: int) -> Iterator[float]:
    """Megabytes that a process and its children hold together, until it ends."""
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
        total = held = 0.0
        with suppress(OSError):
            total = sum(map(private, [process, *map(int, children)]))
            held = handed_over(process)
        if total:
            yield total + held
        time.sleep(0.001)


def private(process: int) -> float:
    """Its share of all pages but those that are handed over."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) / 1e3 for line in lines if line.startswith(("Pss_Anon:", "Pss_File:")))


def handed_over(process: int) -> float:
    """What stands in files in memory that it has opened or mapped."""
    links = [*Path(f"/proc/{process}/fd").iterdir(), *Path(f"/proc/{process}/map_files").iterdir()]
    sizes = {
        (stat.st_dev, stat.st_ino): stat.st_blocks * 512 / 1e6
        for link in links
        if "memfd:evalsuite" in str(link.readlink()) and (stat := link.stat())
    }
    return sum(sizes.values())


def row(name: str, path: Path, repetitions: int) -> str:
    """One line of the table."""
    pairs = [(cost(here, path, watch=False), cost(apart, path, watch=False)) for _ in range(repetitions)]
    ratios = [two.seconds / one.seconds for one, two in pairs]
    before, after = (median(cost.seconds for cost in side) for side in zip(*pairs, strict=True))
    memory = [(cost(here, path, watch=True), cost(apart, path, watch=True)) for _ in range(3)]
    most = [median(cost.memory for cost in side) for side in zip(*memory, strict=True)]
    kept = [median(cost.kept for cost in side) for side in zip(*memory, strict=True)]
    return (
        f"| {name} | {before * 1e3:.0f} | {after * 1e3:.0f} | {median(ratios):.2f} ({min(ratios):.2f} to "
        f"{max(ratios):.2f}) | {most[0]:.0f} | {most[1]:.0f} | {kept[0]:.0f} | {kept[1]:.0f} |"
    )


def report(rows: list[str], repetitions: int) -> str:
    """The whole page."""
    table = "\n".join(rows)
    return f"""# What reading in a child process costs

`OMP_NUM_THREADS=1 python benchmarks/reading.py --write`: checkpoints of {SMALL} and {LARGE} layers of a megabyte, each
read, hashed and parsed by the same code in the process itself and in a child with limits, in turn, {repetitions} times
(torch {torch.__version__}, {platform.machine()}, {os.cpu_count()} processors). Processor time of both until the tensors
are there: medians, and the median, least and most of the ratios. Memory: most at any moment, and what is left while the
tensors are kept, of process, child and what is handed over together, each page once (medians of three).

| file | here, ms | apart, ms | ratio | most here, MB | most apart, MB | kept here, MB | kept apart, MB |
|---|---:|---:|---:|---:|---:|---:|---:|
{table}
"""


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.parent.name}/{RESULT.name}")
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for name, path in files(Path(folder)):
            rows.append(row(name, path, options.repetitions))
            print(rows[-1], file=sys.stderr)
            path.unlink()
    text = report(rows, options.repetitions)
    print(text)
    if options.write:
        RESULT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
