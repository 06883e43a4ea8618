"""The header of evalsuite's own checkpoints: encoding and decoding."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, final

from pydantic import Field, TypeAdapter, ValidationError

from evalsuite.errors import EvalsuiteError, RefusedInputError, UsageError
from evalsuite.files.regular_files import opened

FORMAT: Final = "evalsuite-checkpoint/1"
_LONGEST: Final = 2**24
"""Bytes of a safetensors header in which evalsuite's own is looked for: there are a hundred in it for each tensor."""
_LONGEST_PLACE: Final = 200
_MOST: Final = 10_000_000
_Side = Annotated[int, Field(ge=1, le=_MOST)]
Step = Mapping[str, int | float | str | bool | None]
"""One entry of a lineage: what was done, by which version, from which digest."""


@final
@dataclass(frozen=True, kw_only=True)
class Header:
    """One JSON object under the key `evalsuite` of a safetensors file's metadata.

    Attributes:
        arch: Name that `build` understands; None where the network came from the user's own Python.
        arguments: For `build`.
        classes: Names of the classes, or None.
        class_count: Number of logits.
        shape: (channels, height, width).
        data: Name of the data set, or None.
        lineage: What was done, first step first.
        attributes: Numbers that modules keep beside tensors: module → attribute → value.
        tensors: `tensor_digest` of the file's tensors: safetensors has no checksum of its own.
        written_by: Version of evalsuite.
        format: Raised when the meaning of a field changes.
    """

    arch: str | None
    arguments: dict[str, int | float | str | bool]
    classes: tuple[str, ...] | None
    class_count: Annotated[int, Field(ge=1, le=_MOST)]
    shape: tuple[_Side, _Side, _Side]
    data: str | None
    lineage: tuple[dict[str, int | float | str | bool | None], ...]
    attributes: dict[str, dict[str, int | float | str | bool]]
    tensors: str
    written_by: str
    format: Literal["evalsuite-checkpoint/1"] = FORMAT


def encode(header: Header) -> str:
    """JSON, keys sorted: the same header is the same text."""
    return json.dumps(asdict(header), sort_keys=True)


def decode(text: str, path: Path) -> Header:
    """The header of `path`.

    Raises:
        UsageError: A later evalsuite wrote it.
        RefusedInputError: It is not a header.
    """
    try:
        return TypeAdapter(Header).validate_json(text)
    except ValidationError as error:
        written = _format(text)
        if written.startswith("evalsuite-checkpoint/") and written != FORMAT:
            raise UsageError(
                f"expected a file of format {FORMAT}, got {written!r} from another version: {path}"
            ) from error
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))[:_LONGEST_PLACE] or "header"
        raise RefusedInputError(f"expected a whole evalsuite header, got {where}: {first['msg']}: {path}") from error


def described(path: Path) -> Header | None:
    """What `path` says of itself, read off its first bytes; None where it says nothing, or cannot be read at all.

    Whoever then reads the tensors says what is wrong with the file.
    """
    try:
        with opened(path, "a checkpoint file") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _LONGEST:
                return None
            metadata = json.loads(file.read(length)).get("__metadata__", {})
        return decode(metadata["evalsuite"], path)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError, EvalsuiteError):
        return None


def _format(text: str) -> str:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return str(document.get("format", "")) if isinstance(document, dict) else ""
