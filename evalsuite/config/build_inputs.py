"""Settings → inputs: reads the parent, its data and other networks as the options of a run name them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evalsuite.config.options import Spec
from evalsuite.inputs.read import Inputs, Reading, read_candidate, read_inputs
from evalsuite.networks.checkpoints.checkpoint import Checkpoint


def build_inputs(spec: Spec) -> Inputs:
    """Reads the network and the data that the options name.

    Raises:
        UsageError: A file is missing, or network and data do not fit together.
        RefusedInputError: A file is corrupt or would have to be trusted.
    """
    inputs = read_inputs(spec.ckpt, reading_for(spec), data=spec.data, classes=spec.classes, device=spec.device)
    if spec.separate is None:
        return inputs
    return replace(inputs, separate=build_candidate(spec.separate, spec, inputs))


def build_candidate(path: Path, spec: Spec, inputs: Inputs) -> Checkpoint:
    """Reads a network to be compared with the parent of `inputs`; raises as `read_candidate` does."""
    return read_candidate(path, reading_for(spec), inputs)


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
