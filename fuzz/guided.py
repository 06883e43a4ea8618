"""Coverage-guided fuzzing of readers in pure Python: `python -m fuzz.guided --target policy --seconds 1800`.

atheris (Google's libFuzzer for Python) is no dependency of evalsuite: install it beside, `pip install atheris`. It
follows the branches of the modules that a target names as `guided` and keeps inputs that reach new ones; changes are
those of the target's format and libFuzzer's own. What is found is written down, and the search goes on.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from random import Random
from types import FunctionType, ModuleType

from fuzz.target import Target, chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Does not come back: libFuzzer ends the process when its time is over."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.guided", description=__doc__)
    parser.add_argument("--target", required=True)
    parser.add_argument("--seconds", type=int, default=1800)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("fuzz/findings"))
    options = parser.parse_args(arguments)
    (target,) = chosen([options.target])
    if not target.guided:
        sys.exit(f"{target.name}: expected a target in pure Python, got one whose work is done in native code")
    try:
        import atheris
    except ImportError:
        sys.exit("expected atheris, which is no part of evalsuite: pip install atheris")
    for name in target.guided:
        for function in _functions(import_module(name)):
            atheris.instrument_func(function)
    place = Path(tempfile.mkdtemp(prefix=f"fuzz-guided-{target.name}-"))
    session = _Session(target, place, options.findings.absolute())
    settings = [f"-max_total_time={options.seconds}", f"-seed={options.seed}", "-max_len=65536", "-rss_limit_mb=8192"]
    atheris.Setup(
        [sys.argv[0], str(place / "corpus"), *settings, "-timeout=60", "-print_final_stats=1"],
        session.try_one,
        custom_mutator=session.mutate,
    )
    atheris.Fuzz()
    return 0


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Functions and methods that `module` itself defines; whole imports would follow all of torch."""
    for value in vars(module).values():
        members = vars(value).values() if isinstance(value, type) else [value]
        for member in members:
            function = getattr(member, "__func__", getattr(member, "fget", getattr(member, "__wrapped__", member)))
            if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                yield function


class _Session:
    """One target, its folder and what was found."""

    def __init__(self, target: Target, place: Path, findings: Path) -> None:
        from fuzz.effects import Effects

        self._target, self._findings = target, findings
        self._causes: dict[str, int] = {}
        self._tried, self._began = 0, time.monotonic()
        for folder in ("corpus", "scratch", "shared"):
            (place / folder).mkdir()
        for number, data in enumerate(target.corpus(place / "shared")):
            (place / "corpus" / f"seed-{number}").write_bytes(data)
        self._scratch = place / "scratch"
        os.chdir(self._scratch)
        self._effects = Effects(place)
        self._last = self._began

    def try_one(self, data: bytes) -> None:
        """Hands `data` to the reader, and writes it down where the outcome is a finding of a new cause."""
        from fuzz.oracle import FINDINGS, judged

        self._tried += 1
        outcome = judged(lambda: self._target.read(data, self._scratch), self._effects)
        if time.monotonic() - self._last > 60:
            self._last = time.monotonic()
            print(f"{self._tried} inputs, {self._last - self._began:.0f} s, {len(self._causes)} causes", flush=True)
        if outcome.kind not in FINDINGS:
            return
        cause = f"{outcome.kind} {outcome.key}"
        if cause not in self._causes or len(data) < self._causes[cause]:
            self._causes[cause] = len(data)
            self._findings.mkdir(parents=True, exist_ok=True)
            name = f"{self._target.name}-guided-{list(self._causes).index(cause)}"
            (self._findings / name).write_bytes(data)
            text = f"{cause}\n{len(data)} bytes\n{outcome.detail}\n"
            (self._findings / f"{name}.txt").write_bytes(text.encode("utf-8", "backslashreplace"))

    def mutate(self, data: bytes, most: int, seed: int) -> bytes:
        """A change of the target's format, or one of libFuzzer's."""
        import atheris

        random = Random(seed)
        if self._target.mutations and random.random() < 0.6:
            changed = random.choice(self._target.mutations)(random, bytes(data))
            return changed[:most]
        mutated: bytes = atheris.Mutate(data, most)
        return mutated


if __name__ == "__main__":
    sys.exit(main())
