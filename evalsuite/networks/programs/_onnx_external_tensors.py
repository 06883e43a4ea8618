"""Reads the files beside an ONNX file in which it keeps tensors."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.networks.programs._onnx_messages import Message, Tensor, tensors

_MOST_BYTES: Final = 2**31 - 1
"""Of protobuf: a model that holds all its tensors itself cannot be larger."""
_EXTERNAL: Final = 1


def outside(model: Message) -> list[Tensor]:
    """Tensors, wherever they stand in `model`, whose numbers are kept in other files."""
    return [each for each in tensors(model) if each.data_location == _EXTERNAL or each.external_data]


def files_beside(path: Path, model: Message) -> list[Path]:
    """The files in which `model`, read from `path`, keeps tensors; each once, sorted.

    Raises:
        RefusedInputError: One is not a plain file in the folder of `path`, so that another file would be read.
        UsageError: One is not there.
    """
    folder = path.parent
    names = {_entries(path, each)["location"] for each in outside(model)}
    for name in names:
        if "\0" in name or "\\" in name or name != Path(name).name or name in {".", ".."}:
            raise RefusedInputError(f"expected tensors in the folder of {path}, got {name!r}")
    files = [folder / name for name in sorted(names)]
    for file in files:
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise RefusedInputError(f"expected tensors in plain files in the folder of {path}, got {file.name!r}")
        if not file.is_file():
            raise UsageError(f"expected {file.name!r} beside {path}, which keeps its tensors there, got no such file")
    return files


def files_named_in(path: Path, data: bytes) -> list[Path]:
    """Files in the folder of `path` in which it may keep tensors, told from `data`, its bytes, without parsing them."""
    if b"location" not in data:
        return []
    named = [each for each in path.parent.iterdir() if each != path and os.fsencode(each.name) in data]
    return sorted(each for each in named if each.is_file())


def size_beside(path: Path, data: bytes) -> int:
    """How many bytes may have to be read with `data`, the bytes of `path`."""
    return min(sum(each.stat().st_size for each in files_named_in(path, data)), _MOST_BYTES)


def take_in(path: Path, model: Message) -> int:
    """Puts all numbers that are kept beside `path` into `model`, so that nothing else is read when it is run.

    Returns:
        How many bytes the files beside it have.

    Raises:
        RefusedInputError: A file is not in the folder, is too short, or all of them are too large for one network.
        UsageError: A file is not there.
    """
    files = files_beside(path, model)
    size = sum(file.stat().st_size for file in files)
    if size > _MOST_BYTES:
        raise RefusedInputError(f"expected at most {_MOST_BYTES} bytes beside {path}, got {size}")
    held = {file.name: file.read_bytes() for file in files}
    spans = [(each, *_span(path, each, held)) for each in outside(model)]
    if (total := sum(stop - start for _, _, start, stop in spans)) > _MOST_BYTES:
        raise RefusedInputError(f"expected tensors of at most {_MOST_BYTES} bytes, got {total}: {path}")
    for tensor, name, start, stop in spans:
        tensor.raw_data = held[name][start:stop]
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    return size


def _span(path: Path, tensor: Tensor, held: Mapping[str, bytes]) -> tuple[str, int, int]:
    """In which file a tensor's bytes are, and from where to where."""
    entries = _entries(path, tensor)
    name = entries["location"]
    size = len(held[name])
    start = _number(path, entries, "offset", 0)
    stop = start + _number(path, entries, "length", size - start)
    if not start <= stop <= size:
        raise RefusedInputError(
            f"expected whole tensors beside {path}, got {tensor.name!r} from byte {start} to {stop} of {size} in {name}"
        )
    return name, start, stop


def _number(path: Path, entries: Mapping[str, str], key: str, otherwise: int) -> int:
    text = entries.get(key, str(otherwise))
    # more digits are no position in a file, and take long to be read as one
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RefusedInputError(f"expected {key} to be a number of bytes, got {text[:40]!r}: {path}")
    return int(text)


def _entries(path: Path, tensor: Tensor) -> dict[str, str]:
    entries = {each.key: each.value for each in tensor.external_data}
    if not entries.get("location"):
        raise RefusedInputError(f"expected the name of a file for the tensor {tensor.name!r}, got none: {path}")
    return entries
