"""What a run leaves behind and others read again: results, store, heartbeat; and the gate's own output."""

import functools
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from fuzz.mutations.archives import sqlite_rows
from fuzz.mutations.documents import json_tree
from fuzz.mutations.plain import TEXT
from fuzz.target import Target

if TYPE_CHECKING:
    from evalsuite.records.schema import Results

_POLICY: Final = """\
[policy]
min_deployable = 0.3
min_examples = 5
assumptions = ["*", "doubtful *"]
[[require]]
task = "*"
verdict = "commensurate"
max_loss = 0.9
min_commensurate = 0.1
"""


def _made(folder: Path, name: str) -> list[bytes]:
    """One file of a small run, made once for all targets of a process."""
    made = folder / "made-run"
    if not (made / "results.json").exists():
        _sweep(made)
    return [(made / name).read_bytes()]


def _sweep(made: Path) -> None:
    from evalsuite.networks.architectures.by_name import build
    from evalsuite.networks.checkpoints.checkpoint import Checkpoint, write
    from evalsuite.networks.normalized import Normalized

    network = Normalized(build("mlp", classes=10, channels=1, image_size=8), (0.5,), (0.5,)).eval()
    digits = tuple(map(str, range(10)))
    parent = Checkpoint(network=network, arch="mlp", class_count=10, classes=digits, shape=(1, 8, 8), data="digits")
    write(made / "parent.safetensors", parent)
    command = ["sweep", "--ckpt", str(made / "parent.safetensors"), "--ratios", "0.3,0.5", "--examples", "20"]
    command += ["--tasks", "clean,noise/uniform/0.1", "--accept-parent", "--out", str(made / "run")]
    subprocess.run([sys.executable, "-m", "evalsuite", *command], check=True, capture_output=True)
    for file in (made / "run").iterdir():
        if file.is_file():
            shutil.copy(file, made / file.name)


def _honest(name: str) -> Callable[[Path], Sequence[bytes]]:
    return functools.partial(_made, name=name)


def _results(data: bytes, folder: Path) -> "Results":
    from evalsuite.analysis.results_file import read_results

    (folder / "results.json").write_bytes(data)
    return read_results(folder / "results.json")


def _gated(data: bytes, folder: Path) -> object:
    from evalsuite.export.junit import junit_xml
    from evalsuite.gate.checks import as_dict
    from evalsuite.gate.judge import judge
    from evalsuite.gate.policy import parse_policy

    verdict = judge(parse_policy(_POLICY, source="policy.toml"), _results(data, folder))
    ET.fromstring(junit_xml(verdict))  # noqa: S314 - written by the line before
    return json.dumps(as_dict(verdict))


def _reported(data: bytes, folder: Path) -> object:
    from evalsuite.report.page import render

    return render(_results(data, folder), []).encode()


def _summarised(data: bytes, folder: Path) -> object:
    from evalsuite.export.markdown import summary
    from evalsuite.report.content.verdict import headline

    results = _results(data, folder)
    return summary(results).encode(), headline(results).encode()


def _stored(data: bytes, folder: Path) -> object:
    """A store is read by `report`, `status` and the gate."""
    from evalsuite.analysis.results_file import current
    from evalsuite.cli.status import _read

    (folder / "results.sqlite").write_bytes(data)
    status = _read(folder)
    status.lines()
    results, _ = current(folder)
    return json.dumps(results.document()), json.dumps(status.document())


def _columns(_: Path) -> Sequence[bytes]:
    import numpy as np

    from evalsuite.records.packing import pack

    return [pack({"prediction": np.arange(5, dtype=np.int32), "confidence": np.linspace(0, 1, 5)}), pack({})]


def _unpacked(data: bytes, folder: Path) -> object:
    """What stands for the observations of a shard, read as everybody reads it."""
    from evalsuite.records.store import Address, StoredShard, opened, reading

    address = Address(task="t", network="n", examples="e", seed=0)
    if not (folder / "results.sqlite").exists():
        with opened(folder, create=True) as store:
            store.write([StoredShard(address=address, columns={}, seconds=0.0)])
    with closing(sqlite3.connect(folder / "results.sqlite")) as database, database:
        database.execute("UPDATE shards SET observations = ?", (data,))
    with reading(folder) as store:
        return store.read(address)


def _heard(data: bytes, folder: Path) -> object:
    from evalsuite.cli.status import _read

    (folder / "progress.json").write_bytes(data)
    (folder / "results.sqlite").unlink(missing_ok=True)
    try:
        status = _read(folder)
    except Exception as error:
        from evalsuite.errors import UsageError

        if isinstance(error, UsageError):
            return None  # nothing else is there
        raise
    return status.lines(), json.dumps(status.document())


def _named(data: bytes, _: Path) -> object:
    """Names and texts that others choose reach junit.xml whole or replaced, and leave it well-formed."""
    from evalsuite.export.junit import junit_xml
    from evalsuite.gate.checks import Check, GateResult, Outcome

    text = data.decode("utf-8", "surrogateescape")
    checks = [
        Check(
            requirement="verdict", limit=text, task=text, measure=text or None, network=text, outcome=outcome,
            message=text,
        )
        for outcome in Outcome
    ]  # fmt: skip
    written = junit_xml(GateResult(policy=text, checks=tuple(checks)))
    root = ET.fromstring(written.encode())  # noqa: S314 - written by the line before
    assert len(root.findall("testsuite/testcase")) == len(checks)
    return written


TARGETS = (
    Target(
        name="gate-results",
        honest=_honest("results.json"),
        read=_gated,
        mutations=(json_tree, json_tree, *TEXT),
        guided=(
            "evalsuite.records.schema",
            "evalsuite.gate.judge",
            "evalsuite.gate._input_checks",
            "evalsuite.export.junit",
            "evalsuite.cli.gate",
        ),
    ),
    Target(
        name="report-results", honest=_honest("results.json"), read=_reported, mutations=(json_tree, json_tree, *TEXT)
    ),
    Target(
        name="summary-results",
        honest=_honest("results.json"),
        read=_summarised,
        mutations=(json_tree, json_tree, *TEXT),
    ),
    Target(name="store", honest=_honest("results.sqlite"), read=_stored, mutations=(sqlite_rows, sqlite_rows)),
    Target(name="store-columns", honest=_columns, read=_unpacked),
    Target(
        name="heartbeat",
        honest=_honest("progress.json"),
        read=_heard,
        mutations=(json_tree, json_tree, *TEXT),
        guided=("evalsuite.records.heartbeat", "evalsuite.cli.status"),
    ),
    Target(
        name="junit-names", honest=lambda _: [b"noise/uniform/0.1", "größe & <b>".encode()], read=_named, mutations=TEXT
    ),
)
