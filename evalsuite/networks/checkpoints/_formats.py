"""Reads tensors out of a file, in the format that its bytes show, whatever its name is."""

import hashlib
import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Final, final

import safetensors.torch
import torch
from pydantic import TypeAdapter
from torch import Tensor

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.files.regular_files import read_regular
from evalsuite.networks.checkpoints._pickles import LONGEST_GLOBAL, harmless, imported_names, stand_ins
from evalsuite.networks.checkpoints._plain_tensors import pack, unpack
from evalsuite.networks.checkpoints._records import Records, records
from evalsuite.networks.checkpoints._weight_sets import WeightSet, weight_sets
from evalsuite.process.confined import Limits, run_apart
from evalsuite.process.plain_values import Plain

_WORST_RATIO: Final = 50
_WORST_BYTES: Final = 2**28
_HEAD: Final = 64
_PICKLE: Final = b"\x80"
_ZIP: Final = b"PK\x03\x04"
_MOST_TENSORS: Final = 100_000
_LONGEST_NAME: Final = 1000
_LONGEST_REASON: Final = 500
_MOST_GLOBALS: Final = 1000
_RUN_AS_IT_IS: Final = ", which is run as it is: name it under --candidates or --shipped of evalsuite evaluate"


@final
@dataclass(frozen=True, kw_only=True)
class Contents:
    """The tensors, whole networks and records of a file.

    Attributes:
        digest: sha256 of the file's bytes, 64 hex digits.
        sets: Tensors by name, and (trusted files only) whole networks; at least one.
        header: What evalsuite itself wrote into the file's header, JSON.
        globals: Names that unpickling had to import, where the file was trusted.
        records: What it says beside the weights.
    """

    digest: str
    sets: tuple[WeightSet, ...]
    header: str | None = None
    globals: tuple[str, ...] = ()
    records: Records = field(default_factory=Records)

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """The largest of the sets of tensors."""
        return max((source.tensors for source in self.sets), key=len)

    @property
    def networks(self) -> tuple[WeightSet, ...]:
        """Those of the sets that are whole networks."""
        return tuple(source for source in self.sets if source.network is not None)


@final
@dataclass(frozen=True, kw_only=True)
class _Described:
    """Names, types and shapes of tensors, as the child process describes them, in the order of their names."""

    sets: tuple["_Set", ...]
    header: str | None = None
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    statistics: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class _Set:
    key: str
    names: tuple[str, ...]
    others: tuple[str, ...]
    metadata: dict[str, dict[str, bool | int | float | str | None]]


@final
@dataclass(frozen=True, kw_only=True)
class _Parsed:
    sets: tuple[WeightSet, ...]
    header: str | None = None
    records: Records = field(default_factory=Records)


@final
class _NeedsTrustError(Exception):
    """A file imports names that only a trusted file may; carries the names."""


def read_contents(path: Path, trusted: frozenset[str]) -> Contents:
    """Reads `path` once; what is loaded is what was hashed.

    The file is parsed in a child process with limits on memory and time. What is trusted to run code runs it here: its
    networks are objects of Python, which cannot be handed over as plain values.

    Args:
        path: The file.
        trusted: sha256 digests, with or without "sha256:" before them, of pickles that may run code.

    Raises:
        UsageError: No such file, or it cannot be opened.
        RefusedInputError: Empty, damaged, of an unknown format, too large when unpacked, or a pickle that would have
            to be trusted.
    """
    _check_start(path, read_regular(path, "a checkpoint file", first=_HEAD))
    data = read_regular(path, "a checkpoint file")
    digest = hashlib.sha256(data).hexdigest()
    plain = run_apart(lambda: _handed_over(path, data), path=path, limits=Limits.for_size(len(data)))
    match plain:
        case {"imports": [*names]}:
            imported = tuple(str(name) for name in names)
            if not trusted & {digest, f"sha256:{digest}"}:
                unsafe = tuple(name for name in imported if not harmless(name))
                raise RefusedInputError(_needs_trust(path, digest, unsafe))
            return _trusted(path, data, digest, imported)
        case {"described": described, "tensors": tensors}:
            contents = _contents(path, digest, described, tensors)
            for each in contents.sets:
                _check_claims(path, each.tensors, len(data))
            return contents
        case _:
            raise RefusedInputError(f"expected a file that can be read, got one whose reader gives no answer: {path}")


def _contents(path: Path, digest: str, description: Plain, packed: Plain) -> Contents:
    try:
        described = TypeAdapter(_Described).validate_python(description)
        named = iter(zip((name for each in described.sets for name in each.names), unpack(packed), strict=True))
        sets = tuple(
            WeightSet(
                key=each.key,
                tensors=dict(islice(named, len(each.names))),
                others=each.others,
                metadata=each.metadata,
            )
            for each in described.sets
        )
    except ValueError as error:
        raise RefusedInputError(f"expected a file that can be read, got {error}: {path}") from error
    kept = Records(classes=described.classes, statistics=described.statistics)
    return Contents(digest=digest, sets=sets, header=described.header, records=kept)


def _handed_over(path: Path, data: bytes) -> Plain:
    """What the child process hands back."""
    try:
        parsed = _parsed(path, data)
    except _NeedsTrustError as error:
        return {"imports": list(error.args)}
    described = _Described(
        sets=tuple(
            _Set(key=each.key, names=tuple(each.tensors), others=each.others, metadata=_scalars(each.metadata))
            for each in parsed.sets
        ),
        header=parsed.header,
        classes=dict(parsed.records.classes),
        statistics={key: (tuple(mean), tuple(std)) for key, (mean, std) in parsed.records.statistics.items()},
    )
    tensors = [tensor for each in parsed.sets for tensor in each.tensors.values()]
    return {"described": asdict(described), "tensors": pack(tensors)}


def _scalars(
    metadata: Mapping[str, Mapping[str, object]],
) -> dict[str, dict[str, bool | int | float | str | None]]:
    return {
        name: {str(key): value for key, value in entry.items() if value is None or isinstance(value, int | float | str)}
        for name, entry in metadata.items()
    }


def _check_start(path: Path, head: bytes) -> None:
    """Refuses what is no checkpoint by its first bytes: a large file need not be read for it."""
    if not head:
        raise RefusedInputError(f"expected a checkpoint, got an empty file: {path}")
    if head[8:9] == b"{" or head.startswith((_PICKLE, _ZIP)):
        return
    if path.suffix.lower() == ".onnx":
        raise RefusedInputError(f"expected a checkpoint, got an ONNX file{_RUN_AS_IT_IS}: {path}")
    wanted = "a safetensors file or one written by torch.save"
    raise RefusedInputError(f"expected {wanted}, got bytes that begin with {head[:8]!r} (cut short?): {path}")


def _parsed(path: Path, data: bytes) -> _Parsed:
    # safetensors first: the length of its header may begin with the byte that marks a pickle
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8:
        return _safetensors(path, data)
    if data.startswith((_PICKLE, _ZIP)):
        return _torch(path, data)
    raise RefusedInputError(f"expected a whole safetensors file, got one that is cut short: {path}")


def refuse_not_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raises RefusedInputError, naming the first tensor that holds NaN or infinity."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise RefusedInputError(f"expected finite weights, got NaN or infinity in {name!r}: {path}")


def _safetensors(path: Path, data: bytes) -> _Parsed:
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    _check_count(path, header.count(b'"dtype"'))
    try:
        tensors = safetensors.torch.load(data)
        metadata = json.loads(header).get("__metadata__", {})
    except Exception as error:
        raise RefusedInputError(
            f"expected a whole safetensors file, got one that is damaged: {path}: {_reason(error)}"
        ) from error
    whole = WeightSet(key="", tensors=_dense(path, tensors, len(data)))
    return _Parsed(sets=(whole,), header=metadata.get("evalsuite"))


def _torch(path: Path, data: bytes) -> _Parsed:
    pickled = _data_pickle(path, data) if data[:2] == b"PK" else data
    imported = imported_names(pickled)
    if any(len(name) >= LONGEST_GLOBAL for name in imported):
        # torch goes through what it refuses many times to explain it
        raise RefusedInputError(f"expected a file from torch.save, got one that imports names of no module: {path}")
    try:
        loaded = _load(data, weights_only=True, beside=stand_ins(imported))
    except Exception as error:
        if isinstance(error, pickle.UnpicklingError) and not all(map(harmless, imported)):
            raise _NeedsTrustError(*(name[:_LONGEST_NAME] for name in imported[:_MOST_GLOBALS])) from error
        raise RefusedInputError(
            f"expected a whole file from torch.save, got a damaged one: {path}: {_reason(error)}"
        ) from error
    return _Parsed(sets=_sets(path, loaded, len(data)), records=records(loaded))


def _trusted(path: Path, data: bytes, digest: str, imported: tuple[str, ...]) -> Contents:
    try:
        loaded = _load(data, weights_only=False)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"expected what {path} refers to, to be importable: {error}") from error
    except Exception as error:
        raise RefusedInputError(
            f"expected a whole file from torch.save, got a damaged one: {path}: {_reason(error)}"
        ) from error
    return Contents(digest=digest, sets=_sets(path, loaded, len(data)), globals=imported, records=records(loaded))


def _load(data: bytes, *, weights_only: bool, beside: Sequence[tuple[type, str]] = ()) -> object:
    with warnings.catch_warnings(), torch.serialization.safe_globals(list(beside)):
        # old files name storages that torch has since renamed
        warnings.simplefilter("ignore")
        loaded: object = torch.load(io.BytesIO(data), map_location="cpu", weights_only=weights_only)
    return loaded


def _data_pickle(path: Path, data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            objection = _objection(entries, len(data))
            pickled = b"" if objection else archive.read(next(e for e in entries if _last(e) == "data.pkl"))
    except Exception as error:
        raise RefusedInputError(
            f"expected a whole torch archive, got a damaged one: {path}: {_reason(error)}"
        ) from error
    if objection is not None:
        raise RefusedInputError(f"{objection}: {path}")
    return pickled


def objection_to(entries: Sequence[zipfile.ZipInfo], size: int) -> str | None:
    """Why a zip archive of `size` bytes, whoever wrote it, is not opened further."""
    names = [entry.filename for entry in entries]
    unpacked = sum(entry.file_size for entry in entries)
    if len(set(names)) < len(names) or any(name.startswith("/") or ".." in name.split("/") for name in names):
        return "expected a torch archive, got names that torch never writes"
    if unpacked > max(_WORST_BYTES, _WORST_RATIO * size):
        return f"expected an archive of about the size of its contents, got {size} bytes that unpack to {unpacked}"
    return None


def _objection(entries: Sequence[zipfile.ZipInfo], size: int) -> str | None:
    """Why a zip archive of `size` bytes is not opened as one of torch.save."""
    last = [_last(entry) for entry in entries]
    if (objection := objection_to(entries, size)) is not None:
        return objection
    if "archive_format" in last:
        return f"expected a state_dict from torch.save, got a program of torch.export{_RUN_AS_IT_IS}"
    if "constants.pkl" in last:
        # TorchScript is a program with operators that read and write files, and its reader offers no way to forbid them
        return (
            "expected a state_dict from torch.save, got a TorchScript archive, which is a program of its own: "
            "save the network with torch.export.save (.pt2) or as ONNX, or its state_dict() and say --arch"
        )
    if last.count("data.pkl") != 1:
        return "expected a torch archive, got a zip file without data.pkl"
    return None


def _last(entry: zipfile.ZipInfo) -> str:
    return entry.filename.rpartition("/")[2]


def _sets(path: Path, loaded: object, size: int) -> tuple[WeightSet, ...]:
    try:
        sets = weight_sets(loaded)
    except ValueError as error:
        raise RefusedInputError(f"{error}: {path}") from error
    if not sets:
        what = (
            f"a dict with {', '.join(map(repr, list(loaded)[:5])) or 'nothing in it'}"
            if isinstance(loaded, Mapping)
            else repr(type(loaded))
        )
        raise RefusedInputError(f"expected a state_dict, or a dict that holds one, got {what}: {path}")
    return tuple(replace(each, tensors=_dense(path, each.tensors, size)) for each in sets)


def _dense(path: Path, tensors: Mapping[str, Tensor], size: int) -> Mapping[str, Tensor]:
    _check_count(path, len(tensors))
    longest = max(tensors, key=len, default="")
    if len(longest) > _LONGEST_NAME:
        name = f"{longest[:40]!r}..."
        raise RefusedInputError(
            f"expected names of at most {_LONGEST_NAME} characters, got {name} with {len(longest)}: {path}"
        )
    for name, tensor in tensors.items():
        if tensor.is_complex() or tensor.is_quantized or tensor.is_meta or tensor.is_nested:
            what = "without numbers (on the meta device)" if tensor.is_meta else f"of type {tensor.dtype}"
            raise RefusedInputError(f"expected dense real numbers, got {name!r} {what}: {path}")
    _check_claims(path, tensors, size)
    return {name: _plain(tensor) for name, tensor in tensors.items()}


def _check_count(path: Path, tensors: int) -> None:
    if tensors > _MOST_TENSORS:
        raise RefusedInputError(f"expected at most {_MOST_TENSORS} tensors, got {tensors}: {path}")


def _check_claims(path: Path, tensors: Mapping[str, Tensor], size: int) -> None:
    # a tensor may claim more numbers than are stored, by a stride of 0
    unpacked = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if unpacked > max(_WORST_BYTES, _WORST_RATIO * size):
        raise RefusedInputError(f"expected tensors of about the file's size, got {unpacked} bytes in {size}: {path}")


def _reason(error: Exception) -> str:
    """One line, without torch's advice to read the file without care."""
    reason = str(error).rpartition("WeightsUnpickler error: ")[2]
    return " ".join(reason.split())[:_LONGEST_REASON] or type(error).__name__


def _plain(tensor: Tensor) -> Tensor:
    whole = tensor if tensor.layout == torch.strided else tensor.to_dense()
    return whole.detach().as_subclass(Tensor)


def _needs_trust(path: Path, digest: str, unsafe: tuple[str, ...]) -> str:
    return (
        f"expected a file that holds tensors only, got a pickle that imports {', '.join(unsafe[:8])}: {path}. "
        "Where you trust it, save its tensors alone - import torch; loaded = torch.load(FILE, weights_only=False); "
        "torch.save(loaded.state_dict(), 'weights.pt') (or loaded['state_dict'] where it is a dict) - "
        f"or let it run code here: --trust sha256:{digest}"
    )
