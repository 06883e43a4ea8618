"""load → prune → evaluate → decide → report: the stages of a run, one after another, in one folder."""

import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import final

import torch

from evalsuite.analysis.results import strips, summarise
from evalsuite.analysis.results_file import complete_record, withdraw, write
from evalsuite.config.settings import EvaluationSettings, PruningSettings
from evalsuite.config.spec import DIRECTORY, digest, to_toml
from evalsuite.data import Examples, choose
from evalsuite.engines.local import strip
from evalsuite.errors import UsageError
from evalsuite.evaluation.equivalence import hold_against
from evalsuite.evaluation.evaluate import judge, refusal
from evalsuite.evaluation.examples import Asked, asked
from evalsuite.evaluation.shard_slices import sliced
from evalsuite.files.atomic import write_atomically
from evalsuite.inputs.read import Inputs, statistics
from evalsuite.inputs.unchanged import check_unchanged
from evalsuite.inputs.understanding import add_readings, understand
from evalsuite.interpretation import Interpretation
from evalsuite.networks.checkpoints.checkpoint import Checkpoint
from evalsuite.networks.digest import network_digest
from evalsuite.networks.repeatable import doubts
from evalsuite.parts.names import part_name
from evalsuite.process.third_party_code import others_code
from evalsuite.progress import Reporter, Silent
from evalsuite.pruning.faithful import check_faithful
from evalsuite.pruning.family import Grown, adopt, grow
from evalsuite.records.facts import DataFacts, Meta, NetworkFacts, ParentFacts, RunFacts
from evalsuite.records.heartbeat import recorded
from evalsuite.records.schema import Results
from evalsuite.records.store import Store, opened
from evalsuite.report.page import EXEMPLARS, Picture, render
from evalsuite.version import __version__
from neuralnets.device import device_of

_EXEMPLARS_SHOWN = 8
_FEW = 32
_LOOKED_AT, _CONFIDENCE = 1000, 0.95
"""Examples on which the parent is judged where nothing else is, and how sure that has to be."""
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
    """

    command: str
    request: str = ""
    options: Mapping[str, object] | None = None
    amend: bool = False
    strict: bool = False
    accepted: Sequence[str] = ()
    accept_parent: bool = False
    full_paths: bool = False


@final
@dataclass(frozen=True, kw_only=True)
class Shipped:
    """A file that is said to be a network of the run, after export.

    Attributes:
        id: Its name in results.
        of: The network's.
        path: Where it was read from.
        checkpoint: What it computes, on the run's device.
    """

    id: str
    of: str
    path: Path
    checkpoint: Checkpoint


def run(
    inputs: Inputs,
    making: PruningSettings,
    judging: EvaluationSettings,
    *,
    out: Path,
    origin: Origin,
    reporter: Reporter | None = None,
) -> Results:
    """Make the family, judge it, and write `results.json`, `report.html` and `run.toml` to `out`.

    Work that `out` already holds is not done again.

    Raises:
        UsageError: `out` belongs to another run, or the options do not fit the data.
    """
    judging = judging.with_default_measures(inputs.dataset.problem)
    examples = _chosen(inputs, judging)
    _check_prunable(inputs, making)
    working = _working(inputs, making.identity(), judging, examples, out, origin)
    with recorded(reporter or Silent(), out) as progress, working as (store, clock):
        questions = _asked(
            judging, inputs, examples, store, progress
        )  # what cannot be read is told before hours of work
        understand(inputs, examples, store, origin, progress, confidence=judging.confidence)
        grown = grow(inputs, making, store, out, seed=judging.seed, reporter=progress)
        return _judged(grown, questions, store, clock, out, progress)


def evaluate(
    inputs: Inputs,
    candidates: Mapping[str, Checkpoint],
    judging: EvaluationSettings,
    *,
    out: Path,
    origin: Origin,
    reporter: Reporter | None = None,
    shipped: Sequence[Shipped] = (),
) -> Results:
    """Judge networks made elsewhere, by name, against their parent; writes what `run` writes.

    Files that are `shipped` as one of them (or as the parent) are asked the same and held against it.

    Raises:
        UsageError: `out` belongs to another run.
        RefusedInputError: A shipped file gives outputs that are not finite.
    """
    judging = judging.with_default_measures(inputs.dataset.problem)
    examples = _chosen(inputs, judging)
    made: dict[str, object] = {"candidates": _digests(candidates)}
    files = {each.id: each.checkpoint for each in shipped}
    if shipped:
        made["shipped"] = {"files": _digests(files), "as": {each.id: each.of for each in shipped}}
    # a network that is judged alone is no standard for anything
    origin = origin if candidates or shipped else replace(origin, accept_parent=True)
    working = _working(inputs, made, judging, examples, out, origin)
    with recorded(reporter or Silent(), out) as progress, working as (store, clock):
        questions = _asked(judging, inputs, examples, store, progress)
        others = _of_candidates({**candidates, **files})
        understand(inputs, examples, store, origin, progress, confidence=judging.confidence, others=others)
        grown = adopt(inputs, candidates, store, files)
        networks = {member.id: member.network for member in grown.members}
        compared = [
            hold_against(
                networks[each.of],
                each.checkpoint,
                examples,
                names=(each.id, each.of, str(each.path)),
                confidence=judging.confidence,
                statistics=statistics(inputs),
            )
            for each in shipped
        ]
        store.set_meta(Meta(shipped=compared))
        return _judged(grown, questions, store, clock, out, progress)


def _of_candidates(networks: Mapping[str, Checkpoint]) -> tuple[Interpretation, ...]:
    """What nobody confirmed of the networks that are compared with the parent."""
    return tuple(
        replace(reading, topic=f"{reading.topic} of {name}")
        for name, each in networks.items()
        for reading in each.interpretations
        if not reading.confirmed
    )


def _digests(networks: Mapping[str, Checkpoint]) -> dict[str, str]:
    return {name: network_digest(each.network, each.shape) for name, each in sorted(networks.items())}


def only_prune(
    inputs: Inputs, making: PruningSettings, *, out: Path, seed: int, origin: Origin, reporter: Reporter
) -> list[NetworkFacts]:
    """Make the family without judging it; networks go to `out`/networks. A sweep into `out` finds them there."""
    test = inputs.dataset.test
    examples = choose(test, min(_LOOKED_AT, len(test)), seed)
    _check_prunable(inputs, making)
    with recorded(reporter, out) as progress, opened(out, create=True) as store:
        parent = network_digest(inputs.parent.network, inputs.parent.shape)
        same = _answers_as_before(inputs, parent, store, out)
        withdraw(out, store)
        store.set_meta(Meta(parent=_parent_facts(inputs, parent, store.meta() if same else Meta())))
        understand(inputs, examples, store, origin, progress, confidence=_CONFIDENCE)
        grown = grow(inputs, making, store, out, seed=seed, reporter=progress)
        add_readings(grown.readings, store, progress)
        return [facts for address in grown.addresses[1:] if (facts := store.network(address)) is not None]


def _asked(judging: EvaluationSettings, inputs: Inputs, examples: Examples, store: Store, reporter: Reporter) -> Asked:
    with others_code("preparing the tasks", networks={"parent": inputs.parent.network}):
        return _prepared(judging, inputs, examples, store, reporter)


def _prepared(
    judging: EvaluationSettings, inputs: Inputs, examples: Examples, store: Store, reporter: Reporter
) -> Asked:
    found = asked(judging, inputs.dataset, examples, store)
    for task in judging.tasks:
        if (reason := refusal(task, inputs.dataset, [inputs.parent.network])) is not None:
            reporter.say(f"  not asked: {part_name(task)}: {reason}")
    store.set_meta(Meta(slices=sliced(found)))
    return found


def _check_prunable(inputs: Inputs, making: PruningSettings) -> None:
    """Refuse what cannot be pruned faithfully before the run's folder is touched."""
    image = torch.zeros(1, *inputs.dataset.shape, device=inputs.device)
    with others_code("seeing whether it can be pruned", networks={"parent": inputs.parent.network}):
        check_faithful(inputs.parent.network, making.pruners, image)


def _chosen(inputs: Inputs, judging: EvaluationSettings) -> Examples:
    test = inputs.dataset.test
    return choose(test, min(judging.examples, len(test)), judging.seed)


@final
class _Clock:
    """Adds the time that passes to what the run has taken so far."""

    def __init__(self, store: Store) -> None:
        self._store, self._noted = store, time.monotonic()

    def note(self) -> None:
        """Add the time since the last note."""
        facts, now = self._store.meta()["run"], time.monotonic()
        self._store.set_meta(Meta(run={**facts, "seconds": facts["seconds"] + now - self._noted}))
        self._noted = now


@contextmanager
def _working(
    inputs: Inputs,
    made: Mapping[str, object],
    judging: EvaluationSettings,
    examples: Examples,
    out: Path,
    origin: Origin,
) -> Iterator[tuple[Store, _Clock]]:
    """The run folder's store, told what the run is; the time spent is added up also where the work does not end."""
    with opened(out, create=True) as store:
        clock = _Clock(store)
        _begin(store, inputs, made, judging, examples, out, origin)
        try:
            yield store, clock
        except BaseException:
            clock.note()  # a run that has ended noted it before it wrote its results, which say so
            raise


def _judged(grown: Grown, questions: Asked, store: Store, clock: _Clock, out: Path, reporter: Reporter) -> Results:
    store.set_meta(Meta(members=list(grown.addresses), families=list(grown.families)))
    add_readings(grown.readings, store, reporter)
    for member in grown.members:
        check_unchanged(member.network, member.digest, questions.dataset.shape, store, out, title=member.id)
    _doubt(grown, questions.examples, store)
    judge(grown.members, grown.parent, questions, store, reporter)
    clock.note()  # the results tell what they took
    reporter.start("Reporting", 0.0)
    with others_code("reading measures off what was observed"):
        results = summarise(store)
    # nothing is run for these: they are examples as they are, not as a network saw them
    store.write([], _exemplar_pictures(results, questions.examples))
    finished = _finish(results, store, out)
    reporter.finish()
    return finished


def _doubt(grown: Grown, examples: Examples, store: Store) -> None:
    """Ask every network for a few examples twice, and beside others: whether it has one answer to an image."""
    few = examples.pixels(range(min(_FEW, len(examples))))
    for address, member in zip(grown.addresses, grown.members, strict=True):
        facts = store.network(address)
        if facts is None or "doubts" in facts or len(few) < 2:
            continue
        device = device_of(member.network)
        with others_code("asking it twice", networks={member.id: member.network}):
            found = doubts(member.network.eval(), few.to(device))
        store.add_network(address, {**facts, "doubts": list(found)})


def _exemplar_pictures(results: Results, examples: Examples) -> dict[str, bytes]:
    """The first exemplars of every population on clean data."""
    return {
        f"{EXEMPLARS}{row.population}": strip(examples.pixels(row.positions[:_EXEMPLARS_SHOWN]))
        for row in results.exemplars
        if row.task == "clean" and row.positions
    }


def _finish(results: Results, store: Store, out: Path) -> Results:
    """Write the pages."""
    found = complete_record(results, store)
    pictures = [Picture(task=task, png=png) for task, png in strips(store, found).items()]
    write_atomically(out / "report.html", render(found, pictures))
    write(found, out, store)
    return found


def _begin(
    store: Store,
    inputs: Inputs,
    made: Mapping[str, object],
    judging: EvaluationSettings,
    examples: Examples,
    out: Path,
    origin: Origin,
) -> None:
    parent, data = network_digest(inputs.parent.network, inputs.parent.shape), _data_facts(inputs, examples)
    identity: dict[str, object] = {"network": parent, "data": data["digest"], **made, **judging.identity()}
    if inputs.separate is not None:
        identity["separate"] = network_digest(inputs.separate.network, inputs.separate.shape)
    meta = store.meta()
    # a run that was refused before anything was made may be begun anew with what it asked for
    begun = store.network_count() > 0
    if begun and "identity" in meta and meta["identity"] != identity and not origin.amend:
        changed = sorted(
            key for key in {*identity, *meta["identity"]} if meta["identity"].get(key) != identity.get(key)
        )
        raise UsageError(
            f"{out} belongs to another run (it differs in {', '.join(changed)}): choose another --out, "
            f"or add --amend to continue it with these options"
        )
    same = _answers_as_before(inputs, parent, store, out) and _same_parent(meta, identity)
    withdraw(out, store)
    store.set_meta(
        Meta(
            identity=identity,
            request=origin.request,
            measures=list(judging.measures or ()),
            data=data,
            parent=_parent_facts(inputs, parent, meta if same else Meta()),
            run=_run_facts(meta, judging, inputs, out, origin, digest(identity)),
        )
    )
    if origin.options is not None:
        head = (
            f"# written by evalsuite {__version__}; to run it again: evalsuite sweep --config PATH/OF/THIS/run.toml\n"
        )
        # relative, so that a tree that is moved as a whole can be run again where it then lies
        place = {"out": str(out), DIRECTORY: os.path.relpath(Path.cwd(), out.absolute())}
        write_atomically(out / "run.toml", head + to_toml({**origin.options, **place}))


def _answers_as_before(inputs: Inputs, digest: str, store: Store, out: Path) -> bool:
    return check_unchanged(inputs.parent.network, digest, inputs.dataset.shape, store, out, title="the parent")


def _same_parent(before: Meta, identity: Mapping[str, object]) -> bool:
    """Whether the parent was judged before, on the same examples and as surely."""
    keys = ("network", "data", "examples", "seed", "confidence")
    known = before.get("identity", {})
    return all(known.get(key) == identity.get(key) for key in keys)


def _data_facts(inputs: Inputs, examples: Examples) -> DataFacts:
    dataset = inputs.dataset
    return DataFacts(
        name=dataset.name,
        shape=list(dataset.shape),
        classes=list(dataset.classes),
        examples=len(examples),
        overlap=dataset.overlap,
        duplicates=dataset.duplicates,
        digest=digest({"examples": list(examples.ids)}),
    )


def _parent_facts(inputs: Inputs, parent: str, before: Meta) -> ParentFacts:
    checkpoint = inputs.parent
    judged = before["parent"].get("standard") if "parent" in before and before["parent"]["digest"] == parent else None
    return ParentFacts(
        id="parent",
        digest=parent,
        arch=checkpoint.arch or "from Python",
        arguments=dict(checkpoint.arguments),
        file=None,
        sha256=checkpoint.file_digest,
        lineage=[dict(step) for step in checkpoint.lineage],
        standard=judged,
    )


def _run_facts(
    meta: Meta, judging: EvaluationSettings, inputs: Inputs, out: Path, origin: Origin, spec_digest: str
) -> RunFacts:
    before = meta.get("run")
    facts = RunFacts(
        id=out.name,
        created=before["created"] if before else datetime.now(UTC).isoformat(timespec="seconds"),
        command=origin.command,
        versions=_versions(),
        device=_device(inputs.device),
        cpu_threads=torch.get_num_threads(),
        seconds=before["seconds"] if before else 0.0,
        spec_digest=spec_digest,
        seed=judging.seed,
        margin=judging.margin,
        confidence=judging.confidence,
    )
    return {**facts, "full_paths": True} if origin.full_paths else facts


def _versions() -> dict[str, str]:
    found = {"evalsuite": __version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"
