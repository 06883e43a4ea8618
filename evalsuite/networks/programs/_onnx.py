"""ONNX files, run by onnxruntime; an optional extra.

The file is data: onnxruntime computes with the operators that it was built with. Operators from libraries of the user's
own are not loaded, tensors kept beside the file are read from its own folder only, and how much is computed depends on
the number of images alone.
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
from evalsuite.networks.programs._onnx_cost import onnx_cost
from evalsuite.networks.programs._onnx_external_tensors import outside, size_beside, take_in
from evalsuite.networks.programs._onnx_graph import foreign_operator, sized_by_pixels
from evalsuite.networks.programs._onnx_messages import Model, graphs, sparse_tensors
from evalsuite.networks.programs._trial import first_line, lacks_memory, trial_images, trial_limits
from evalsuite.networks.programs.program import Artefact, FileInfo
from evalsuite.process.confined import Limits, run_apart
from evalsuite.wording import times

_FLOAT32 = "tensor(float)"


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
    """The network in `data`, the bytes of `path`; run first in a child process with limits on memory and time.

    Raises:
        UsageError: onnxruntime is not installed, or the network does not take images of `shape`.
        RefusedInputError: The file is damaged, needs operators that onnxruntime does not have, or takes too much.
    """
    onnx, runtime = _library("onnx"), _library("onnxruntime")
    size = len(data) + size_beside(path, data)

    def try_out() -> None:
        read = _whole(onnx, path, data, digest)
        network, batch = _loaded(runtime, path, read, shape)
        for images in trial_images(batch, shape):
            _run(path, network, images)
        onnx_cost(read.model, (batch or 1, *shape))

    run_apart(try_out, path=path, limits=trial_limits(size, shape))
    read = _whole(onnx, path, data, digest)
    network, batch = _loaded(runtime, path, read, shape)
    _run(path, network, torch.full((batch or 1, *shape), 0.5))
    counted = onnx_cost(read.model, (batch or 1, *shape))
    info = FileInfo(
        kind="onnx",
        sha256=read.sha256,
        batch=batch,
        megabytes=read.megabytes,
        cost=None if isinstance(counted, str) else counted,
        uncounted=counted if isinstance(counted, str) else None,
    )
    return Artefact(network, info, shape)


def _loaded(
    runtime: ModuleType, path: Path, read: _Read, shape: tuple[int, int, int]
) -> tuple[OnnxNetwork, int | None]:
    """The network, and how many images it takes at once."""
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    # nodes are run one after the other; a second pool of threads could not be started in a child process
    options.inter_op_num_threads = 1
    # else bytes that begin like onnxruntime's own format are read as such, past everything that was looked at
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session: _Session = runtime.InferenceSession(read.model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if lacks_memory(error):
            raise MemoryError(first_line(error)) from error
        raise RefusedInputError(
            f"expected an ONNX file that onnxruntime {runtime.__version__} can run, got: {first_line(error)}: {path}"
        ) from error
    batch = _batch(path, session, shape)
    return OnnxNetwork(session), batch


def _run(path: Path, network: OnnxNetwork, images: Tensor) -> None:
    try:
        network(images)
    except Exception as error:
        if lacks_memory(error):
            raise MemoryError(first_line(error)) from error
        raise RefusedInputError(
            f"expected an ONNX network that takes {len(images)} images of shape {times(images.shape[1:])}, "
            f"got: {first_line(error)}: {path}"
        ) from error


def _library(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(f"ONNX files need {name}: {install_hint('onnx')} ({error})") from error


def digest_with_tensors(path: Path, data: bytes) -> str:
    """SHA-256 of the ONNX file in `data`, the bytes of `path`, with the tensors in files beside it, 64 hex digits.

    Raises:
        RefusedInputError: It is damaged, or keeps tensors outside of its folder.
        UsageError: A file beside it is not there, or ONNX is not installed.
    """
    onnx = _library("onnx")
    size = len(data) + size_beside(path, data)
    digest = sha256(data).hexdigest()
    whole = run_apart(lambda: _whole(onnx, path, data, digest).sha256, path=path, limits=Limits.for_size(size))
    if not isinstance(whole, str):
        raise RefusedInputError(f"expected an ONNX file, got one whose reader gives no digest: {path}")
    return whole


def _whole(onnx: ModuleType, path: Path, data: bytes, digest: str) -> _Read:
    """The file, its tensors read in from the files beside it where they are kept there."""
    try:
        model: Model = onnx.load_model_from_string(data)
    except Exception as error:
        raise RefusedInputError(
            f"expected a whole ONNX file, got a damaged one: {path}: {first_line(error)}"
        ) from error
    if not model.graph.node or not model.graph.output:
        raise RefusedInputError(f"expected a whole ONNX file, got one without a graph (cut short?): {path}")
    _check_graph(path, model)
    whole, total, size = data, digest, len(data)
    if outside(model):
        size += take_in(path, model)
        whole = model.SerializeToString(deterministic=True)
        total = sha256(f"{digest} {sha256(whole).hexdigest()}".encode()).hexdigest()
    _check_numbers(onnx, path, model)
    return _Read(model=whole, sha256=total, megabytes=size / 1e6)


def _check_graph(path: Path, model: Model) -> None:
    """Refuse graphs with foreign operators, or whose sizes depend on what an image shows."""
    foreign = foreign_operator(model)
    if foreign is not None:
        raise RefusedInputError(
            f"expected operators of ONNX and of onnxruntime's optimiser, got {foreign!r}: {path}; "
            f"export the network without it, or judge it before it is exported: its weights, with --arch"
        )
    varying = sized_by_pixels(model)
    if varying is not None:
        raise RefusedInputError(
            f"expected a network that computes as much for every image, got {varying!r}, whose sizes or rounds depend "
            f"on what an image shows: {path}"
        )
    if any(sparse_tensors(model)):
        raise RefusedInputError(f"expected dense tensors, got sparse ones: {path}; save the zeros too")


def _check_numbers(onnx: ModuleType, path: Path, model: Model) -> None:
    """Refuse weights that are no numbers; constants may be infinite, as masks of attention are."""
    weights = [tensor for graph in graphs(model) for tensor in graph.initializer]
    try:
        broken = [each.name for each in weights if not _finite(onnx.numpy_helper.to_array(each))]
    except Exception as error:
        raise RefusedInputError(f"expected whole tensors, got a damaged one: {path}: {first_line(error)}") from error
    if broken:
        raise RefusedInputError(f"expected finite weights, got NaN or infinity in {broken[0]!r}: {path}")


def _finite(numbers: npt.NDArray[np.generic]) -> bool:
    return numbers.dtype.kind != "f" or bool(np.isfinite(numbers).all())


def _batch(path: Path, session: _Session, shape: tuple[int, int, int]) -> int | None:
    """How many images the network takes at once; None: any number."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise UsageError(
            f"expected an ONNX network with one input and one output, got {len(inputs)} and {len(outputs)}: {path}"
        )
    sizes = [each if isinstance(each, int) else None for each in inputs[0].shape]
    fits = len(sizes) == 4 and all(given in {None, size} for given, size in zip(sizes[1:], shape, strict=True))
    if not fits or inputs[0].type != _FLOAT32:
        given = "x".join("n" if each is None else str(each) for each in sizes)
        raise UsageError(
            f"expected an ONNX network for {_FLOAT32} of shape nx{times(shape)}, got one for {inputs[0].type} of "
            f"shape {given}: {path}"
        )
    return sizes[0]
