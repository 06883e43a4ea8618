"""Records what a run is: how it was asked for, what its outcome depends on, and what it runs on."""

import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import final

import torch

from evalsuite.analysis.results_file import withdraw
from evalsuite.config.settings import EvaluationSettings
from evalsuite.config.spec import DIRECTORY, digest, to_toml
from evalsuite.data import Examples
from evalsuite.errors import UsageError
from evalsuite.files.atomic import write_atomically
from evalsuite.inputs.read import Inputs
from evalsuite.inputs.unchanged import check_unchanged
from evalsuite.networks.digest import network_digest
from evalsuite.records.schema import Data, Parent
from evalsuite.records.store import Store, opened
from evalsuite.records.stored import Meta, StoredRun
from evalsuite.version import __version__

_LIBRARIES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "pyautoattack",
    "torch-pruning",
    "onnx",
    "onnxruntime",
    "imagecorruptions-imaug",
    "timm",
)


@final
@dataclass(frozen=True, kw_only=True)
class Origin:
    """How a run was asked for.

    Attributes:
        command: What was typed, for the report.
        request: Digest of what was typed and of the files it names, so that a finished run is recognised at once.
        options: The resolved options, for `run.toml`.
        amend: Whether a folder that holds a run with other options may be continued with these.
        strict: Whether nothing may be assumed of the inputs.
        accepted: Patterns (`fnmatch`) of topics that may be assumed even so.
        accept_parent: Whether to go on with a parent that is not shown to be better than a trivial answer; every
            verdict is then inconclusive.
        full_paths: Whether results tell where files lie on this machine.
        engine: Name of the engine that computes shards.
    """

    command: str
    request: str = ""
    options: Mapping[str, object] | None = None
    amend: bool = False
    strict: bool = False
    accepted: Sequence[str] = ()
    accept_parent: bool = False
    full_paths: bool = False
    engine: str = "local"


@final
class Clock:
    """Adds the time that passes to what the run has taken so far."""

    def __init__(self, store: Store) -> None:
        self._store, self._noted = store, time.monotonic()

    def note(self) -> None:
        """Add the time since the last note."""
        run, now = self._store.meta().run, time.monotonic()
        assert run is not None  # noqa: S101 - it is written down when the run begins
        seconds = run.seconds + now - self._noted
        self._store.set_meta(Meta(run=run.model_copy(update={"seconds": seconds})))
        self._noted = now


@contextmanager
def begun_run(
    inputs: Inputs,
    made: Mapping[str, object],
    evaluation_settings: EvaluationSettings,
    examples: Examples,
    out: Path,
    origin: Origin,
) -> Iterator[tuple[Store, Clock]]:
    """The run folder's store, in which the run is recorded; its time is added up also where it does not end."""
    with opened(out, create=True) as store:
        clock = Clock(store)
        _begin(store, inputs, made, evaluation_settings, examples, out, origin)
        try:
            yield store, clock
        except BaseException:
            clock.note()  # a run that has ended noted it before it wrote its results, which say so
            raise


def _begin(
    store: Store,
    inputs: Inputs,
    made: Mapping[str, object],
    evaluation_settings: EvaluationSettings,
    examples: Examples,
    out: Path,
    origin: Origin,
) -> None:
    parent, data = network_digest(inputs.parent.network, inputs.parent.shape), _data(inputs, examples)
    identity: dict[str, object] = {"network": parent, "data": data.digest, **made, **evaluation_settings.identity()}
    if inputs.separate is not None:
        identity["separate"] = network_digest(inputs.separate.network, inputs.separate.shape)
    meta = store.meta()
    before = meta.identity
    # a run that was refused before anything was made may be begun anew with what it asked for
    if store.network_count() > 0 and before is not None and before != identity and not origin.amend:
        changed = sorted(key for key in {*identity, *before} if before.get(key) != identity.get(key))
        raise UsageError(
            f"{out} belongs to another run (it differs in {', '.join(changed)}): choose another --out, "
            f"or add --amend to continue it with these options"
        )
    same = answers_as_before(inputs, parent, store, out) and _same_parent(meta, identity)
    withdraw(out, store)
    store.set_meta(
        Meta(
            identity=identity,
            request=origin.request,
            measures=tuple(evaluation_settings.measures or ()),
            data=data,
            parent=stored_parent(inputs, parent, meta if same else Meta()),
            run=_run(meta, evaluation_settings, inputs, out, origin, digest(identity)),
        )
    )
    if origin.options is not None:
        head = (
            f"# written by evalsuite {__version__}; to run it again: evalsuite sweep --config PATH/OF/THIS/run.toml\n"
        )
        # relative, so that a tree that is moved as a whole can be run again where it then lies
        place = {"out": str(out), DIRECTORY: os.path.relpath(Path.cwd(), out.absolute())}
        write_atomically(out / "run.toml", head + to_toml({**origin.options, **place}))


def answers_as_before(inputs: Inputs, digest: str, store: Store, out: Path) -> bool:
    """Whether the parent, whose digest is told, answers as it did when the run began; raises as `check_unchanged`."""
    return check_unchanged(inputs.parent.network, digest, inputs.dataset.shape, store, out, title="the parent")


def _same_parent(before: Meta, identity: Mapping[str, object]) -> bool:
    """Whether the parent was judged before, on the same examples and as surely."""
    keys = ("network", "data", "examples", "seed", "confidence")
    identity_before = before.identity or {}
    return all(identity_before.get(key) == identity.get(key) for key in keys)


def _data(inputs: Inputs, examples: Examples) -> Data:
    dataset = inputs.dataset
    return Data(
        name=dataset.name,
        shape=dataset.shape,
        classes=tuple(dataset.classes),
        examples=len(examples),
        overlap=dataset.overlap,
        duplicates=dataset.duplicates,
        digest=digest({"examples": list(examples.ids)}),
    )


def stored_parent(inputs: Inputs, parent: str, before: Meta) -> Parent:
    """What is written down of the parent, by its digest; how it did on clean data is taken over from `before`."""
    checkpoint = inputs.parent
    judged = before.parent.standard if before.parent is not None and before.parent.digest == parent else None
    return Parent(
        id="parent",
        digest=parent,
        arch=checkpoint.arch or "from Python",
        arguments=dict(checkpoint.arguments),
        file=None,
        sha256=checkpoint.file_digest,
        lineage=tuple(dict(step) for step in checkpoint.lineage),
        standard=judged,
    )


def _run(
    meta: Meta, evaluation_settings: EvaluationSettings, inputs: Inputs, out: Path, origin: Origin, spec_digest: str
) -> StoredRun:
    before = meta.run
    run = StoredRun(
        id=out.name,
        created=before.created if before else datetime.now(UTC).isoformat(timespec="seconds"),
        command=origin.command,
        versions=_versions(),
        device=_device(inputs.device),
        cpu_threads=torch.get_num_threads(),
        seconds=before.seconds if before else 0.0,
        spec_digest=spec_digest,
        seed=evaluation_settings.seed,
        margin=evaluation_settings.margin,
        confidence=evaluation_settings.confidence,
    )
    return run.model_copy(update={"full_paths": True}) if origin.full_paths else run


def _versions() -> dict[str, str]:
    versions = {"evalsuite": __version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[library] = version(library)
    return versions


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"
