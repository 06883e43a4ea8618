"""Reads the inputs of a run: the parent together with its data, and other networks as the parent was read."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from torch import nn

from evalsuite.data import Dataset, load, training_statistics
from evalsuite.errors import RefusedInputError, UnknownNameError, UsageError
from evalsuite.inputs.class_order import in_network_order
from evalsuite.interpretation import Interpretation
from evalsuite.networks.architectures.by_name import convention
from evalsuite.networks.checkpoints import normalisation
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, check_fits, read
from evalsuite.networks.checkpoints.header import Header, described
from evalsuite.networks.checkpoints.precision import single
from evalsuite.networks.copies import copied
from evalsuite.networks.normalized import Normalized
from evalsuite.networks.programs.read import Statistics, is_artefact, read_artefact
from evalsuite.parts.recorded_data import check_recorded
from evalsuite.parts.registry import names
from evalsuite.process.third_party_code import others_code


@final
@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a run works on.

    Attributes:
        parent: The trained network, on its device.
        dataset: Its data, with classes in the order of the network's outputs.
        device: Where networks are run.
        separate: A dense network that was trained apart from the parent, to hold functional distances against (Lost in
            Pruning, section 4); None where there is none.
    """

    parent: Checkpoint
    dataset: Dataset
    device: torch.device
    separate: Checkpoint | None = None

    @property
    def interpretations(self) -> tuple[Interpretation, ...]:
        """Everything that had to be known of the parent and of the data."""
        return (
            _architecture(self.parent),
            *self.parent.interpretations,
            _data(self.dataset),
            *self.dataset.interpretations,
        )


@final
@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files that do not describe themselves are to be read.

    Attributes:
        arch: As for `networks.architectures.build`.
        weights: Which entry of a file holds the weights; None: it has to be clear.
        normalise: As for `networks.normalisation.statistics_for`; None: as the file or its library has it, else none.
        artefact_input: Whether exported files take "images" in [0, 1] or "normalised" ones; None: images, as assumed.
        trusted: sha256 digests of files that may run code when they are read.
    """

    arch: str | None = None
    weights: str | None = None
    normalise: str | None = None
    artefact_input: str | None = None
    trusted: frozenset[str] = frozenset()


def read_inputs(ckpt: Path, reading: Reading, *, data: str | None, classes: str | None, device: str) -> Inputs:
    """Reads a checkpoint and the data that `data`, or else the checkpoint, names.

    Raises:
        UsageError: A file is missing, or network and data do not fit together.
        RefusedInputError: A file is corrupt or would have to be trusted.
    """
    with others_code(f"reading {ckpt}"):
        return _inputs(ckpt, reading, data=data, classes=classes, device=device)


def _inputs(ckpt: Path, reading: Reading, *, data: str | None, classes: str | None, device: str) -> Inputs:
    place = chosen_device(device)
    header = described(ckpt)
    # a state dict and an exported file say nothing of their images: the data set does
    given = _load(data, header, reading.arch) if data is not None else None
    parent = _parent(ckpt, reading, given)
    dataset = given if given is not None else _load(_data_of(parent, ckpt), header, reading.arch)
    dataset = in_network_order(dataset, _names_in_file(parent, ckpt, classes), classes)
    check_fits(parent, dataset.outputs, dataset.shape)
    moved = replace(parent, network=parent.network.to(place), classes=dataset.classes, data=dataset.name)
    return Inputs(parent=moved, dataset=dataset, device=place)


def read_candidate(path: Path, reading: Reading, inputs: Inputs) -> Checkpoint:
    """Reads a network to be compared with the parent of `inputs`, onto the same device.

    Where neither its file nor the user says how it is normalised, it is normalised as the parent whose descendant it
    is.

    Raises:
        UsageError: It does not fit the data.
        RefusedInputError: The file is corrupt or would have to be trusted.
    """
    with others_code(f"reading {path}"):
        return _candidate(path, reading, inputs)


def _candidate(path: Path, reading: Reading, inputs: Inputs) -> Checkpoint:
    dataset = inputs.dataset
    if is_artefact(path):
        candidate = _artefact(path, reading, dataset, statistics(inputs))
        return replace(candidate, network=candidate.network.to(inputs.device))
    candidate = _descendant(path, reading, inputs)
    _check_classes(path, candidate, inputs)
    if candidate.self_describing:
        normalisation.check_not_contradicted(candidate.network, reading.normalise, _of_parent(inputs))
    check_fits(candidate, dataset.outputs, dataset.shape)
    return replace(candidate, network=candidate.network.to(inputs.device).eval())


def statistics(inputs: Inputs) -> Statistics:
    """Mean and standard deviation by which the parent normalises its images; those of the data where it does not."""
    mean, std = _of_parent(inputs)
    trivial = not any(mean) and all(each == 1 for each in std)
    return (inputs.dataset.mean, inputs.dataset.std) if trivial else (mean, std)


def chosen_device(name: str) -> torch.device:
    """The device called `name`; "auto" takes a GPU where there is one.

    Raises:
        UsageError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device: expected cpu, cuda, cuda:N or auto, got {name!r}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {name}: there is no CUDA device here; use cpu or auto")
    return device


def _parent(ckpt: Path, reading: Reading, dataset: Dataset | None) -> Checkpoint:
    if is_artefact(ckpt):
        if dataset is None:
            raise UsageError(f"expected --data NAME beside an exported file, which does not tell its images: {ckpt}")
        return _artefact(ckpt, reading, dataset, (dataset.mean, dataset.std))
    parent = _read(ckpt, reading, dataset)
    if parent.self_describing and reading.normalise is not None:
        loaded = dataset or load(_data_of(parent, ckpt))
        normalisation.check_not_contradicted(parent.network, reading.normalise, _of_data(loaded, reading.normalise))
    return parent


def _descendant(path: Path, reading: Reading, inputs: Inputs) -> Checkpoint:
    """A candidate; the entry that holds the parent's weights is the candidate's too, if it has such an entry."""
    as_parent = _of_parent(inputs)
    try:
        checkpoint = _read(path, reading, inputs.dataset, as_parent)
    except UnknownNameError:
        if reading.weights is None:
            raise
        checkpoint = _read(path, replace(reading, weights=None), inputs.dataset, as_parent)
    readings = [
        normalisation.as_parent(each) if each.topic == normalisation.TOPIC and each.basis == "assumed" else each
        for each in checkpoint.interpretations
    ]
    return replace(checkpoint, interpretations=tuple(readings))


def _read(
    path: Path, reading: Reading, dataset: Dataset | None, unless_recorded: normalisation.Statistics | None = None
) -> Checkpoint:
    """A file that is no exported one; `unless_recorded`, its parent's numbers, normalises it where nobody says how."""
    if dataset is None:
        return read(path, arch=reading.arch, weights=reading.weights, trusted=reading.trusted)
    rule = reading.normalise
    # what "data" stands for was worked out for the parent
    data = unless_recorded or _of_data(dataset, rule)
    mean, std = unless_recorded or (None, None)
    return read(
        path,
        arch=reading.arch,
        classes=dataset.classes,
        shape=dataset.shape,
        mean=mean,
        std=std,
        normalise=None if rule is None else normalisation.statistics_for(rule, data, dataset.shape[0]),
        weights=reading.weights,
        trusted=reading.trusted,
    )


def _of_data(dataset: Dataset, rule: str | None) -> normalisation.Statistics:
    """What the rule "data" stands for; of photos they all have to be decoded for it, so that it is asked for only then.

    Raises:
        UsageError: There are no training examples.
    """
    return training_statistics(dataset) if rule == "data" else (dataset.mean, dataset.std)


def _of_parent(inputs: Inputs) -> normalisation.Statistics:
    mean, std = inputs.parent.network.mean.tolist(), inputs.parent.network.std.tolist()
    return tuple(mean), tuple(std)


def _load(name: str, header: Header | None, arch: str | None) -> Dataset:
    """The data set, with photos of the size that the network wants, where `name` does not say it."""
    if header is not None:
        return load(name, size=header.shape[1], basis="recorded")
    if arch is None:
        return load(name)
    habits = convention(arch)
    size = None if habits.shape is None else habits.shape[1]
    return load(name, size=size, crop=habits.crop, interpolation=habits.interpolation)


def _artefact(path: Path, reading: Reading, dataset: Dataset, before: Statistics) -> Checkpoint:
    """An exported file; `before` is what stands before it where it takes normalised images."""
    normalised = reading.artefact_input == "normalised"
    artefact = read_artefact(
        path, classes=dataset.classes, shape=dataset.shape, normalisation=before if normalised else None
    )
    value = normalisation.in_words(artefact.network)
    taken = Interpretation(
        topic=normalisation.TOPIC,
        value=f"of {path.name}, {value}" if normalised else f"{path.name} takes images in [0, 1]",
        basis="assumed" if reading.artefact_input is None else "given",
        reason="an exported file does not say what it takes" if reading.artefact_input is None else "--artefact-input",
        option="--artefact-input images|normalised",
    )
    others = tuple(each for each in artefact.interpretations if each.topic != taken.topic)
    return replace(artefact, interpretations=(*others, taken))


def _architecture(parent: Checkpoint) -> Interpretation:
    name = parent.arch or "from Python"
    settings = ", ".join(f"{key}={value}" for key, value in parent.arguments.items())
    value = f"{name} ({settings})" if settings else name
    return Interpretation(topic="architecture", value=value, basis="recorded" if parent.self_describing else "given")


def _data(dataset: Dataset) -> Interpretation:
    training = "no" if dataset.train is None else f"{len(dataset.train)}"
    shape = "x".join(map(str, dataset.shape))
    value = f"{dataset.name}: {len(dataset.test)} held-out examples, {training} training examples, images {shape}"
    return Interpretation(topic="data", value=value, basis="measured")


def _data_of(parent: Checkpoint, ckpt: Path) -> str:
    if parent.data is None:
        registered = ", ".join(name.replace("_", "-") for name in names("evalsuite.data"))
        raise UsageError(f"{ckpt} does not say on which data it was trained: add --data NAME (one of {registered})")
    return check_recorded(parent.data, ckpt)


def _names_in_file(parent: Checkpoint, ckpt: Path, given: str | None) -> tuple[str, ...] | None:
    """What the parent's outputs are called by its own file; None where it says nothing."""
    if parent.self_describing:
        return parent.classes
    lists = parent.recorded_classes
    if len(set(lists.values())) > 1 and given is None:
        raise RefusedInputError(
            f"expected one list of classes in {ckpt}, got several that differ ({', '.join(lists)}): say --classes"
        )
    return next(iter(lists.values()), None)


def _check_classes(path: Path, candidate: Checkpoint, inputs: Inputs) -> None:
    """Two files that name their classes have to name them in the same order."""
    classes = candidate.classes if candidate.self_describing else _names_in_file(candidate, path, None)
    if classes in {None, inputs.dataset.classes}:
        return
    if sorted(classes or ()) == sorted(inputs.dataset.classes):
        raise UsageError(
            f"expected outputs in the order of the parent's, got the same classes in another order: {path}"
        )


def normalised_as_given(network: nn.Module, rule: str | None, dataset: Dataset) -> Checkpoint:
    """A copy of a network from Python as a checkpoint: normalised as the user says, else not at all.

    Networks of half or double precision become float32, as those that are read from files.

    Raises:
        UsageError: The network cannot be copied, or says itself how it is normalised and `rule` says something else.
    """
    network = copied(network)
    precise = single(network)
    wrapped, reading = normalisation.in_front(network, rule, _of_data(dataset, rule), dataset.shape[0])
    return Checkpoint(
        network=wrapped.eval(),
        arch=None,
        class_count=len(dataset.classes),
        classes=dataset.classes,
        shape=dataset.shape,
        data=dataset.name,
        # a network that evalsuite itself normalised says how
        self_describing=isinstance(network, Normalized),
        interpretations=(*precise, reading),
    )
