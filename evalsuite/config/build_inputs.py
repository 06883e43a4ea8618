"""Builds the inputs of a run from its options: the parent, its data and other networks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from evalsuite.config.options import Spec
from evalsuite.data import Dataset, load, prepared
from evalsuite.inputs.class_order import in_network_order
from evalsuite.inputs.read import (
    Inputs,
    Reading,
    chosen_device,
    normalised_as_given,
    read_candidate,
    read_inputs,
)  # fmt: skip
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, check_fits
from evalsuite.process.third_party_code import others_code


def build_inputs(spec: Spec) -> Inputs:
    """Reads the network and the data that the options name.

    Raises:
        UsageError: A file is missing, or network and data do not fit together.
        RefusedInputError: A file is corrupt or would have to be trusted.
    """
    inputs = read_inputs(spec.ckpt, reading_for(spec), data=spec.data, classes=spec.classes, device=spec.device)
    return _with_separate(inputs, spec)


def inputs_from_python(network: nn.Module, data: Dataset | str, spec: Spec) -> Inputs:
    """As `build_inputs`, of a network and data that are handed over; the network is copied.

    Raises:
        UsageError: They do not fit together, or the network cannot be copied.
    """
    device = chosen_device(spec.device)
    with others_code("reading network and data"):
        dataset = in_network_order(load(data) if isinstance(data, str) else prepared(data), None, spec.classes)
        parent = normalised_as_given(network, spec.normalise, dataset)
        parent = replace(parent, network=parent.network.to(device))
        check_fits(parent, dataset.outputs, dataset.shape)
    return _with_separate(Inputs(parent=parent, dataset=dataset, device=device), spec)


def build_candidate(network: Path | nn.Module, spec: Spec, inputs: Inputs) -> Checkpoint:
    """Reads a network, or copies one from Python, to be compared with the parent of `inputs`.

    Raises:
        UsageError: It does not fit the data, or cannot be copied.
        RefusedInputError: The file is corrupt or would have to be trusted.
    """
    if isinstance(network, Path):
        return read_candidate(network, reading_for(spec), inputs)
    with others_code("reading a candidate"):
        candidate = normalised_as_given(network, spec.normalise, inputs.dataset)
        check_fits(candidate, inputs.dataset.outputs, inputs.dataset.shape)
        return replace(candidate, network=candidate.network.to(inputs.device))


def _with_separate(inputs: Inputs, spec: Spec) -> Inputs:
    if spec.separate is None:
        return inputs
    return replace(inputs, separate=build_candidate(spec.separate, spec, inputs))


def reading_for(spec: Spec) -> Reading:
    """How the options ask files to be read that do not describe themselves."""
    return Reading(
        arch=spec.arch,
        weights=spec.weights,
        normalise=spec.normalise,
        artefact_input=spec.artefact_input,
        trusted=_digests(spec.trust),
    )


def _digests(trust: Sequence[str]) -> frozenset[str]:
    return frozenset(digest.removeprefix("sha256:") for digest in trust)
