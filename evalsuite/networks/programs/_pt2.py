"""Reads archives of torch.export.save (`.pt2`) into a program and its tensors, without unpickling or evaluating."""

import io
import json
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from evalsuite.errors import EvalsuiteError, RefusedInputError, UsageError
from evalsuite.networks.checkpoints._formats import objection_to, refuse_not_finite
from evalsuite.networks.programs._json import Json, as_list, as_mapping, as_name, only_entry
from evalsuite.networks.programs._program import Program
from evalsuite.networks.programs._program_cost import program_cost
from evalsuite.networks.programs._steps import DTYPES
from evalsuite.networks.programs._symbolic import ForeignOperatorError, NotUnderstoodError
from evalsuite.networks.programs._trial import first_line, lacks_memory, trial_images, trial_limits
from evalsuite.networks.programs.program import Artefact, FileInfo
from evalsuite.process.confined import run_apart
from evalsuite.process.plain_values import Plain

_SCHEMA: Final = 8
_WAY_OUT: Final = (
    "export it in evaluation mode, without custom objects and control flow, with torch.export.save, or as ONNX"
)
_WITHOUT_IT: Final = (
    "export the network without it, without run_decompositions, or as ONNX, "
    "or judge it before it is exported: its weights, with --arch"
)
_MARKS: Final = (b"/models/model.json", b"/data/weights/", b"/archive_format")
_FOLDERS: Final = {"parameter": "weights", "buffer": "weights", "tensor_constant": "constants"}


def is_program(data: bytes) -> bool:
    """Whether the bytes are an archive of torch.export, whole or not."""
    return data[:4] == b"PK\x03\x04" and any(mark in data for mark in _MARKS)


def read_program(path: Path, data: bytes, digest: str, shape: tuple[int, int, int]) -> Artefact:
    """The program in `data`, the bytes of `path`; run first in a child process with limits on memory and time.

    Raises:
        RefusedInputError: The archive is damaged, holds something that would have to be trusted, or takes too much.
        UsageError: The program does not take images of `shape`.
    """
    sizes = run_apart(lambda: _try_out(path, data, shape), path=path, limits=trial_limits(len(data), shape))
    program, batch = _loaded(path, data, shape)
    if batch is None:
        program.grow_with_batch(shape, _by_batch(path, sizes))
    counted = program_cost(program, torch.full((batch or 1, *shape), 0.5))
    info = FileInfo(
        kind="torch.export",
        sha256=digest,
        batch=batch,
        megabytes=len(data) / 1e6,
        cost=None if isinstance(counted, str) else counted,
        uncounted=counted if isinstance(counted, str) else None,
    )
    return Artefact(program, info, shape)


def _try_out(path: Path, data: bytes, shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Everything that is done with a program when it is read, to see whether it survives.

    Returns:
        How many images it was run on, and how many bytes it computed for them, for each run.

    Raises:
        RefusedInputError: As for `read_program`; or the program writes over its own tensors.
        UsageError: As for `read_program`.
    """
    program, batch = _loaded(path, data, shape)
    before = {name: tensor.clone() for name, tensor in program.named_buffers()}
    try:
        sizes = [(len(images), _size(program, images)) for images in trial_images(batch, shape)]
        if batch is None:
            program.grow_with_batch(shape, dict(sizes))
            program.check_growth(2)
    except NotUnderstoodError as error:
        raise RefusedInputError(f"{error}: {path}") from error
    except Exception as error:
        if lacks_memory(error):
            raise
        raise RefusedInputError(f"expected a program that runs, got {first_line(error)}: {path}") from error
    if not all(torch.equal(tensor, before[name]) for name, tensor in program.named_buffers()):
        raise RefusedInputError(f"expected a network that is the same after it was run, got one that changes: {path}")
    return sizes


def _size(program: Program, images: Tensor) -> int:
    """Bytes of all values that the program computes."""
    made: list[int] = []
    with torch.no_grad():
        answer = program.run(images, lambda called: made.append(called.size))
    if not isinstance(answer, Tensor):
        raise NotUnderstoodError(f"expected a program that gives a tensor, got {type(answer).__name__}")
    return sum(made)


def _by_batch(path: Path, sizes: Plain) -> dict[int, int]:
    """What the child process hands back, which a hostile file may have taken over."""
    match sizes:
        case [[1, int(one)], [3, int(three)]] if 0 <= one <= three:
            return {1: one, 3: three}
        case _:
            raise RefusedInputError(f"expected a program that computes more for more images, got another: {path}")


def _loaded(path: Path, data: bytes, shape: tuple[int, int, int]) -> tuple[Program, int | None]:
    """The program, and how many images it takes at once."""
    parts = _parts(path, data)
    try:
        description = as_mapping(json.loads(parts.get("models/model.json", b"null")))
        program, user = _program(description, parts)
        batch = _batch(path, user, shape)
    except (EvalsuiteError, MemoryError):
        raise
    except ForeignOperatorError as error:
        raise RefusedInputError(f"{error}: {path}; {_WITHOUT_IT}") from error
    except NotUnderstoodError as error:
        raise RefusedInputError(f"expected a program that can be run as data: {error}: {path}; {_WAY_OUT}") from error
    except Exception as error:
        raise RefusedInputError(_damaged(path, error)) from error
    refuse_not_finite(path, dict(program.named_buffers()))
    return program, batch


def _parts(path: Path, data: bytes) -> Mapping[str, bytes]:
    """What the archive holds, by name without the folder around everything."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            objection = objection_to(archive.infolist(), len(data))
            names = [] if objection else archive.namelist()
            parts = {name.partition("/")[2]: archive.read(name) for name in names}
    except MemoryError:
        raise
    except Exception as error:
        raise RefusedInputError(_damaged(path, error)) from error
    if objection is not None:
        raise RefusedInputError(f"{objection}: {path}")
    return parts


def _damaged(path: Path, error: Exception) -> str:
    first = " ".join(f"{type(error).__name__}: {error}".split())
    return f"expected a whole file from torch.export.save, got a damaged one: {path}: {first:.400}"


def _program(description: Json, parts: Mapping[str, bytes]) -> tuple[Program, Json]:
    """The program, and what the archive says of its images."""
    major = as_mapping(description.get("schema_version")).get("major")
    if major != _SCHEMA:
        raise NotUnderstoodError(f"expected schema {_SCHEMA} of torch.export, got {major!r}")
    module = as_mapping(description.get("graph_module"))
    graph, signature = as_mapping(module.get("graph")), as_mapping(module.get("signature"))
    changes = [next(iter(as_mapping(each)), "") for each in as_list(signature.get("output_specs"))]
    if changes != ["user_output"]:
        raise NotUnderstoodError(f"expected one output and nothing changed, got {', '.join(changes) or 'no output'}")
    tensors: dict[str, Tensor] = {}
    inputs: list[str] = []
    learnt: set[str] = set()
    kept = {folder: _config(parts, folder) for folder in set(_FOLDERS.values())}
    for each in as_list(signature.get("input_specs")):
        kind, spec = only_entry(each)
        argument = as_mapping(as_mapping(spec).get("arg"))
        if kind == "user_input":
            inputs.append(as_name(as_mapping(argument.get("as_tensor")).get("name")))
        elif kind in _FOLDERS:
            name = as_name(as_mapping(spec).get(f"{kind}_name"))
            # buffers that are not part of the state dict are kept with the constants
            folder = _FOLDERS[kind] if name in kept[_FOLDERS[kind]] else "constants"
            learnt |= {as_name(argument.get("name"))} if kind == "parameter" else set()
            tensors[as_name(argument.get("name"))] = _tensor(parts, folder, as_mapping(kept[folder].get(name)))
        else:
            raise NotUnderstoodError(f"expected tensors as inputs, got {kind}")
    if len(inputs) != 1:
        raise NotUnderstoodError(f"expected one input, the images, got {len(inputs)}")
    return Program(graph, tensors, learnt, inputs[0]), as_mapping(as_mapping(graph.get("tensor_values")).get(inputs[0]))


def _config(parts: Mapping[str, bytes], folder: str) -> Json:
    config = parts.get(f"data/{folder}/model_{folder}_config.json", b'{"config": {}}')
    return as_mapping(as_mapping(json.loads(config)).get("config"))


def _tensor(parts: Mapping[str, bytes], folder: str, entry: Json) -> Tensor:
    where = as_name(entry.get("path_name"))
    if entry.get("use_pickle") or not where.startswith(("weight_", "tensor_")):
        raise NotUnderstoodError(f"expected tensors that are stored as numbers, got {where!r}, which is pickled")
    meta = as_mapping(entry.get("tensor_meta"))
    dtype = DTYPES.get(meta.get("dtype"))
    if dtype is None:
        raise NotUnderstoodError(f"expected real numbers, got type {meta.get('dtype')!r} in {where!r}")
    sizes, strides = _numbers(meta, "sizes"), _numbers(meta, "strides")
    (offset,) = _numbers({"offset": [meta.get("storage_offset")]}, "offset")
    raw = parts[f"data/{folder}/{where}"]
    flat = torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)
    reach = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True)) + 1
    count = prod(sizes)
    if count > len(flat) or (count and not 0 < reach <= len(flat)):
        raise ValueError(f"{where} holds {len(flat)} numbers, too few for a tensor of {sizes}")
    return flat.as_strided(sizes, strides, offset).clone()


def _numbers(meta: Json, key: str) -> list[int]:
    numbers: list[int] = []
    for each in as_list(meta.get(key)):
        number = as_mapping(each).get("as_int")
        if not isinstance(number, int) or number < 0:
            raise NotUnderstoodError(f"expected tensors of known sizes, got {key} {number!r}")
        numbers.append(number)
    return numbers


def _batch(path: Path, user: Json, shape: tuple[int, int, int]) -> int | None:
    """How many images the program takes at once; None: any number."""
    sizes = [as_mapping(each).get("as_int") for each in as_list(user.get("sizes"))]
    # a size without a number is one that may vary
    fits = len(sizes) == 4 and all(given in {None, size} for given, size in zip(sizes[1:], shape, strict=True))
    if not fits or DTYPES.get(user.get("dtype")) is not torch.float32:
        given = "x".join("n" if each is None else str(each) for each in sizes)
        wanted = f"nx{'x'.join(map(str, shape))}"
        raise UsageError(
            f"expected a program for float32 images of shape {wanted}, got one for {DTYPES.get(user.get('dtype'))} "
            f"of shape {given}: {path}"
        )
    return sizes[0] if isinstance(sizes[0], int) else None
