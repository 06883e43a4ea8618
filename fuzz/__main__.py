"""`python -m fuzz`: mutated inputs for every reader, for a while; a table of what became of them."""

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fuzz import batch
from fuzz.oracle import FINDINGS
from fuzz.target import Target, chosen

_KINDS = ("read", "usage", "refused", *FINDINGS)


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where something was found, else 0."""
    options = _options(arguments)
    targets = chosen(options.target)
    if options.list:
        print("\n".join(target.name for target in targets))
        return 0
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _import_once()
    if options.replay is not None:
        return _replay(targets, options.replay)
    with tempfile.TemporaryDirectory(prefix="fuzz-shared-") as shared:
        tallies = _run(targets, options, Path(shared))
    if options.json is not None:
        rows = [{"target": t.target, "inputs": t.inputs, "seconds": round(t.seconds, 1), **t.kinds} for t in tallies]
        options.json.write_text(json.dumps({"seed": options.seed, "targets": rows}, indent=1) + "\n", encoding="utf-8")
    return 1 if any(tally.findings for tally in tallies) else 0


def _run(targets: Sequence[Target], options: argparse.Namespace, shared: Path) -> list[batch.Tally]:
    tallies = []
    print(_row("target", "inputs", [*_KINDS, "seconds"]))
    for target in targets:
        seconds = options.seconds / len(targets) if options.inputs is None else float("inf")
        tally = batch.run(
            target, shared=shared, seed=options.seed, first=options.first, seconds=seconds, inputs=options.inputs
        )
        tallies.append(tally)
        print(_row(tally.target, tally.inputs, [*(tally.kinds[k] for k in _KINDS), f"{tally.seconds:.0f}"]), flush=True)
        _save(tally, options.findings, options.seed)
    total = [sum(tally.kinds[kind] for tally in tallies) for kind in _KINDS]
    print(_row("all", sum(tally.inputs for tally in tallies), [*total, f"{sum(t.seconds for t in tallies):.0f}"]))
    return tallies


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--target", action="append", default=[], help="one reader (may be given again); default: all")
    parser.add_argument("--seconds", type=float, default=60.0, help="shared by all targets")
    parser.add_argument("--inputs", type=int, help="for each target, instead of a time")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same inputs")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--findings", type=Path, default=Path("fuzz/findings"), help="folder for what is found")
    parser.add_argument("--json", type=Path, help="write the table there, too")
    parser.add_argument("--replay", type=Path, help="run one file through the target, and say what becomes of it")
    parser.add_argument("--list", action="store_true", help="names of the targets")
    return parser.parse_args(arguments)


def _import_once() -> None:
    """What nearly all readers need; children inherit it."""
    import torch
    import torchvision  # noqa: F401

    import evalsuite.data
    import evalsuite.networks.checkpoints.checkpoint  # noqa: F401

    torch.set_num_threads(1)


def _replay(targets: Sequence[Target], file: Path) -> int:
    outcomes = [(target.name, batch.replayed(target, file.read_bytes())) for target in targets]
    for name, outcome in outcomes:
        print(f"{name}: {outcome.kind} {outcome.key}\n{outcome.detail}".rstrip())
    return 1 if any(outcome.kind in FINDINGS for _, outcome in outcomes) else 0


def _save(tally: batch.Tally, folder: Path, seed: int) -> None:
    for finding in tally.findings.values():
        folder.mkdir(parents=True, exist_ok=True)
        cause = hashlib.sha256(f"{finding.kind} {finding.key}".encode()).hexdigest()[:8]
        file = folder / f"{tally.target}-{finding.kind}-{cause}"
        file.write_bytes(finding.data)
        text = f"{finding.kind} {finding.key}\nseed {seed}, input {finding.number}, {len(finding.data)} bytes\n"
        file.with_name(f"{file.name}.txt").write_bytes(f"{text}{finding.detail}\n".encode("utf-8", "backslashreplace"))
        print(f"  {finding.kind}: {finding.key} -> {file}")


def _row(name: str, inputs: object, cells: Sequence[object]) -> str:
    return f"{name:22} {inputs!s:>7} " + " ".join(f"{cell!s:>9}" for cell in cells)


if __name__ == "__main__":
    sys.exit(main())
