"""ONNX files, run by onnxruntime; an optional extra.

The file is data: onnxruntime computes with the operators that it was built with. Operators from libraries of the user's
own are not loaded, and tensors kept beside the file are read from its own folder only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.errors import RefusedInputError, UsageError, install_hint
from evalsuite.networks._onnx_cost import onnx_cost
from evalsuite.networks.artefact import Artefact, Told

_FLOAT32 = "tensor(float)"


class _Entry(Protocol):
    key: str
    value: str


class _Tensor(Protocol):
    external_data: Sequence[_Entry]


class _Graph(Protocol):
    initializer: Sequence[_Tensor]


class _Model(Protocol):
    graph: _Graph


class _Value(Protocol):
    name: str
    type: str
    shape: Sequence[int | str | None]


class _Session(Protocol):
    def get_inputs(self) -> Sequence[_Value]: ...
    def get_outputs(self) -> Sequence[_Value]: ...
    def run(
        self, outputs: Sequence[str], given: Mapping[str, npt.NDArray[np.float32]]
    ) -> Sequence[npt.NDArray[np.float32]]: ...


@final
class OnnxNetwork(nn.Module):
    """Runs a session on the CPU; images may be anywhere, and have no gradient."""

    def __init__(self, session: _Session) -> None:
        """Takes a session with one input and one output."""
        nn.Module.__init__(self)
        self._session = session
        self._from, self._to = session.get_inputs()[0].name, session.get_outputs()[0].name

    @override
    def forward(self, images: Tensor) -> Tensor:
        given = images.detach().cpu().float().numpy()
        (logits,) = self._session.run([self._to], {self._from: given})
        return torch.from_numpy(np.asarray(logits)).to(images.device)


@final
@dataclass(frozen=True, kw_only=True)
class _Read:
    """An ONNX file with everything that it refers to."""

    model: bytes
    sha256: str
    megabytes: float


def is_onnx(path: Path, data: bytes) -> bool:
    """Whether this is meant to be ONNX, whole or not: such files have no mark, only a first field."""
    return path.suffix.lower() == ".onnx" or (data[:1] == b"\x08" and b"onnx" in data[:64])


def read_onnx(path: Path, data: bytes, digest: str, shape: tuple[int, int, int]) -> Artefact:
    """The network in `data`, the bytes of `path`.

    Raises:
        UsageError: onnxruntime is not installed, or the network does not take images of `shape`.
        RefusedInputError: The file is damaged, or needs operators that onnxruntime does not have.
    """
    onnx, runtime = _library("onnx"), _library("onnxruntime")
    read = _whole(onnx, path, data, digest)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session: _Session = runtime.InferenceSession(read.model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise RefusedInputError(
            f"expected an ONNX file that onnxruntime {runtime.__version__} can run, got: {_first(error)}: {path}"
        ) from error
    batch = _batch(path, session, shape)
    network = OnnxNetwork(session)
    try:
        network(torch.full((batch or 1, *shape), 0.5))
    except Exception as error:
        raise UsageError(
            f"expected an ONNX network that takes images of shape nx{_times(shape)}, got: {_first(error)}: {path}"
        ) from error
    counted = onnx_cost(read.model, (batch or 1, *shape))
    told = Told(
        kind="onnx",
        sha256=read.sha256,
        batch=batch,
        megabytes=read.megabytes,
        cost=None if isinstance(counted, str) else counted,
        uncounted=counted if isinstance(counted, str) else None,
    )
    return Artefact(network, told, shape)


def _library(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(f"ONNX files need {name}: {install_hint('onnx')} ({error})") from error


def _whole(onnx: ModuleType, path: Path, data: bytes, digest: str) -> _Read:
    """The file, its tensors read in from the files beside it where they are kept there."""
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:
        raise RefusedInputError(f"expected a whole ONNX file, got a damaged one: {path}: {_first(error)}") from error
    if not model.graph.node or not model.graph.output:
        raise RefusedInputError(f"expected a whole ONNX file, got one without a graph (cut short?): {path}")
    beside = _beside(path, model)
    whole, total = data, digest
    if beside:
        try:
            # it refuses paths that lead out of the folder
            onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
        except Exception as error:
            raise RefusedInputError(f"expected whole tensors beside {path}, got: {_first(error)}") from error
        whole = model.SerializeToString(deterministic=True)
        total = sha256(f"{digest} {sha256(whole).hexdigest()}".encode()).hexdigest()
    for tensor in model.graph.initializer:
        numbers = onnx.numpy_helper.to_array(tensor)
        if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
            raise RefusedInputError(f"expected finite weights, got NaN or infinity in {tensor.name!r}: {path}")
    size = len(data) + sum(file.stat().st_size for file in beside)
    return _Read(model=whole, sha256=total, megabytes=size / 1e6)


def _beside(path: Path, model: _Model) -> list[Path]:
    """The files in which tensors are kept."""
    named = {e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"}
    folder = path.parent.resolve()
    files = sorted((folder / name) for name in named)
    for file in files:
        if file.parent != folder or file.is_symlink() or not file.resolve().is_relative_to(folder):
            raise RefusedInputError(f"expected tensors in the folder of {path}, got {str(file)!r}")
        if not file.is_file():
            raise UsageError(f"expected {file.name!r} beside {path}, which keeps its tensors there, got no such file")
    return files


def _batch(path: Path, session: _Session, shape: tuple[int, int, int]) -> int | None:
    """How many images the network takes at once; None: any number."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise UsageError(
            f"expected an ONNX network with one input and one output, got {len(inputs)} and {len(outputs)}: {path}"
        )
    told = [each if isinstance(each, int) else None for each in inputs[0].shape]
    fits = len(told) == 4 and all(given in {None, size} for given, size in zip(told[1:], shape, strict=True))
    if not fits or inputs[0].type != _FLOAT32:
        given = "x".join("n" if each is None else str(each) for each in told)
        raise UsageError(
            f"expected an ONNX network for {_FLOAT32} of shape nx{_times(shape)}, got one for {inputs[0].type} of "
            f"shape {given}: {path}"
        )
    return told[0]


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _first(error: Exception) -> str:
    said = str(error).strip()
    return said.partition("\n")[0] if said else type(error).__name__
