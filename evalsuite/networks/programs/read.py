"""Reads exported networks: programs of torch.export and ONNX files."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from evalsuite.errors import EvalsuiteError, RefusedInputError, UsageError
from evalsuite.files.regular_files import read_regular
from evalsuite.interpretation import Interpretation
from evalsuite.networks.checkpoints._load_tensors import outputs
from evalsuite.networks.checkpoints.checkpoint import Checkpoint
from evalsuite.networks.checkpoints.input_normalisation import words
from evalsuite.networks.normalized import Normalized
from evalsuite.networks.programs._onnx import digest_with_tensors, is_onnx, read_onnx
from evalsuite.networks.programs._onnx_external_tensors import files_named_in
from evalsuite.networks.programs._pt2 import is_program, read_program
from evalsuite.networks.programs._trial import first_line
from evalsuite.networks.programs.program import Artefact

_HEAD: Final = 64
_ZIP: Final = b"PK\x03\x04"
Statistics = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation of each channel."""


def file_digest(path: Path) -> str:
    """SHA-256 by which a network's file is known in results: that of its bytes, and of tensors that lie beside it.

    Raises:
        RefusedInputError: It is an ONNX file that is damaged.
        UsageError: It is not there, or files beside it are not.
    """
    data = read_regular(path, "a file")
    if is_onnx(path, data[:_HEAD]) and files_named_in(path, data):
        return digest_with_tensors(path, data)
    return hashlib.sha256(data).hexdigest()


def is_artefact(path: Path) -> bool:
    """Whether the file is one that is run as it is, whole or not; told by what it holds, and for ONNX by its name too.

    Not where it cannot be opened: whoever reads it says so.
    """
    if not path.is_file():
        return False
    head = read_regular(path, "a file", first=_HEAD)
    # of an archive the names tell, which stand anywhere in it
    return is_onnx(path, head) or (head.startswith(_ZIP) and is_program(read_regular(path, "a file")))


def read_artefact(
    path: Path, *, classes: Sequence[str], shape: tuple[int, int, int], normalisation: Statistics | None = None
) -> Checkpoint:
    """The network in `path`, run as it is. Nothing in the file is executed as code of its own, and nothing unpickled.

    Args:
        path: A program of torch.export (`.pt2`) or an ONNX file.
        classes: Names of the classes of the data.
        shape: (channels, height, width) of the images.
        normalisation: Put before the network; None: the file takes images in [0, 1] as they are.

    Raises:
        UsageError: It does not take such images, or does not tell as many classes apart; ONNX without onnxruntime.
        RefusedInputError: The file is empty, damaged, or holds more than a network that is only computed.
    """
    data = read_regular(path, "a file")
    if not data:
        raise RefusedInputError(f"expected a network, got an empty file: {path}")
    digest = hashlib.sha256(data).hexdigest()
    artefact = _artefact(path, data, digest, shape)
    mean, std = normalisation or ((0.0,) * shape[0], (1.0,) * shape[0])
    network = Normalized(artefact, mean, std).eval()
    try:
        count = outputs(network, shape)[0]
    except UsageError as error:
        raise UsageError(f"{error}: {path}") from error
    if count != len(classes):
        raise UsageError(f"expected a network for the {len(classes)} classes of the data, got one for {count}: {path}")
    return Checkpoint(
        network=network,
        arch=artefact.info.kind,
        class_count=count,
        classes=tuple(classes),
        shape=shape,
        file_digest=artefact.info.sha256,
        interpretations=_interpretations(network, given=normalisation is not None),
    )


def _artefact(path: Path, data: bytes, digest: str, shape: tuple[int, int, int]) -> Artefact:
    read = read_program if is_program(data) else read_onnx
    try:
        return read(path, data, digest, shape)
    except EvalsuiteError:
        raise
    except Exception as error:
        raise RefusedInputError(f"expected an exported network that runs, got {first_line(error)}: {path}") from error


def _interpretations(network: Normalized, *, given: bool) -> tuple[Interpretation, ...]:
    weights = Interpretation(topic="weights", value="the exported file, run as it is", basis="recorded")
    if given:
        before = words((network.mean.tolist(), network.std.tolist()))
        value, option = f"{before}, before the exported file", "--artefact-input images"
        return weights, Interpretation(topic="normalisation", value=value, basis="given", option=option)
    value, reason = "none (mean 0, std 1)", "the exported file is taken to normalise by itself"
    option = "--artefact-input normalised"
    return weights, Interpretation(topic="normalisation", value=value, basis="assumed", reason=reason, option=option)
