"""Files of weights: archives of torch.save, its older format, safetensors, evalsuite's own header, records beside."""

import argparse
import io
import json
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from fuzz.mutations.archives import safetensors_header, zip_members, zipped
from fuzz.mutations.documents import json_tree
from fuzz.mutations.pickles import opcodes
from fuzz.mutations.plain import TEXT
from fuzz.target import Target

_SHAPE: Final = (1, 2, 2)
_ARCH: Final = "mlp?depth=1&width=3"
_CLASSES: Final = ("cat", "dog", "owl")


class _Gadget:
    """What no reader may call."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1",)


def _state() -> "OrderedDict[str, object]":
    from evalsuite.networks.architectures.by_name import build

    return OrderedDict(build(_ARCH, classes=3, channels=1, image_size=2).state_dict())


def _documents() -> list[Mapping[str, object]]:
    import numpy as np

    state = _state()
    beside = {"epoch": 3, "acc": np.float64(0.5), "args": argparse.Namespace(lr=0.1), "best": None}
    names = {"class_to_idx": {name: k for k, name in enumerate(_CLASSES)}, "mean": [0.5], "std": [0.25]}
    prefixed = OrderedDict((f"module.{name}", tensor) for name, tensor in state.items())
    return [
        state,
        {"state_dict": prefixed, **beside, **names},
        {"model": state, "model_ema": state, "idx_to_class": {0: "a"}},
    ]


def _saved(document: object, *, archive: bool) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(document, buffer, _use_new_zipfile_serialization=archive)
    return buffer.getvalue()


def _archives(_: Path) -> Sequence[bytes]:
    return [_saved(document, archive=True) for document in _documents()]


def _odd_archives() -> Sequence[bytes]:
    scripted = [("m/data.pkl", b"\x80\x02}."), ("m/constants.pkl", b"\x80\x02)."), ("m/code/x.py", b"a = 1\n")]
    return [_saved({"weight": _Gadget()}, archive=True), zipped(scripted), zipped([("a.txt", b"a")])]


def _legacy(_: Path) -> Sequence[bytes]:
    return [_saved(document, archive=False) for document in _documents()]


def _odd_legacy() -> Sequence[bytes]:
    return [_saved({"weight": _Gadget()}, archive=False), pickle.dumps({"a": [1]}), b"\x80\x02N.", b"\x80"]


def _safetensors(_: Path) -> Sequence[bytes]:
    import safetensors.torch

    tensors = dict(_state())
    halves = {f"net.{name}": tensor.half() for name, tensor in tensors.items()}  # type: ignore[attr-defined]
    return [safetensors.torch.save(tensors), safetensors.torch.save(halves, {"format": "pt"})]


def _own_checkpoints(folder: Path) -> Sequence[bytes]:
    from evalsuite.networks.architectures.by_name import build
    from evalsuite.networks.checkpoints.checkpoint import Checkpoint, write
    from evalsuite.networks.normalized import Normalized

    network = Normalized(build(_ARCH, classes=3, channels=1, image_size=2), (0.5,), (0.25,)).eval()
    lineage = ({"step": "prune", "version": "0.1.0", "from": "0" * 64, "ratio": 0.5},)
    named = Checkpoint(
        network=network,
        arch="mlp",
        arguments={"depth": 1, "width": 3},
        class_count=3,
        classes=_CLASSES,
        shape=_SHAPE,
        data="digits",
        lineage=lineage,
    )
    write(folder / "own.safetensors", named)
    return [(folder / "own.safetensors").read_bytes()]


def _read(name: str, arch: str | None) -> Callable[[bytes, Path], object]:
    def read(data: bytes, folder: Path) -> object:
        from evalsuite.networks.checkpoints import checkpoint

        path = folder / name
        path.write_bytes(data)
        given = {} if arch is None else {"arch": arch, "classes": _CLASSES, "shape": _SHAPE}
        return checkpoint.read(path, **given)  # type: ignore[arg-type]  # either none or all of these

    return read


def _contents(data: bytes, folder: Path) -> object:
    from evalsuite.networks.checkpoints._formats import read_contents

    path = folder / "weights.pt"
    path.write_bytes(data)
    return read_contents(path, frozenset())


def _described(data: bytes, folder: Path) -> object:
    from evalsuite.networks.checkpoints.header import described

    path = folder / "own.safetensors"
    path.write_bytes(data)
    return described(path)


def _headers(_: Path) -> Sequence[bytes]:
    from evalsuite.networks.checkpoints.header import Header, encode

    header = Header(
        arch="lenet5",
        arguments={"width": 2, "a": "b", "c": True},
        classes=_CLASSES,
        class_count=3,
        shape=_SHAPE,
        data="digits",
        lineage=({"step": "train", "x": None},),
        attributes={"": {"n": 1}},
        tensors="0" * 64,
        written_by="0.1.0",
    )
    return [encode(header).encode()]


def _header(data: bytes, _: Path) -> object:
    from evalsuite.networks.checkpoints.header import decode, encode

    header = decode(data.decode("utf-8", "replace"), Path("own.safetensors"))
    assert decode(encode(header), Path("own.safetensors")) == header
    return header


def _pickles(_: Path) -> Sequence[bytes]:
    documents = [{"a": [1, 2.5, None, "b"], "args": argparse.Namespace(lr=0.1)}, OrderedDict(a=1), {"g": _Gadget()}]
    return [pickle.dumps(each, protocol) for each in documents for protocol in (0, 1, 2, 4)]


def _scanned(data: bytes, _: Path) -> object:
    from evalsuite.networks.checkpoints._pickles import harmless, imported_names, stand_ins

    names = imported_names(data)
    return [harmless(name) for name in names], stand_ins(names)


def _recorded(data: bytes, _: Path) -> object:
    from evalsuite.networks.checkpoints._records import records

    try:
        loaded = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return records(loaded)


def _record_documents(_: Path) -> Sequence[bytes]:
    return [
        json.dumps(each).encode()
        for each in (
            {"class_to_idx": {"cat": 0, "dog": 1}, "mean": [0.5], "std": [0.5], "config": {"mean": 0.1, "std": 0.2}},
            {"transform": {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1]}, "id2label": {"0": "a", "1": "b"}},
            {"a": {"b": {"c": {"classes": ["x", "y"]}}}, "names": [], "labels": ["a", "a"]},
        )
    ]


TARGETS = (
    Target(
        name="torch-archive",
        honest=_archives,
        odd=_odd_archives,
        read=_read("weights.pt", _ARCH),
        mutations=(zip_members({".pkl": (opcodes, opcodes)}),),
    ),
    Target(name="torch-legacy", honest=_legacy, odd=_odd_legacy, read=_read("weights.pt", _ARCH), mutations=(opcodes,)),
    Target(
        name="torch-contents",
        honest=_archives,
        odd=_odd_archives,
        read=_contents,
        mutations=(zip_members({".pkl": (opcodes,)}),),
        guided=(
            "torch._weights_only_unpickler",
            "evalsuite.networks.checkpoints._formats",
            "evalsuite.networks.checkpoints._pickles",
        ),
    ),
    Target(
        name="safetensors",
        honest=_safetensors,
        read=_read("weights.safetensors", _ARCH),
        mutations=(safetensors_header,),
    ),
    Target(
        name="own-checkpoint",
        honest=_own_checkpoints,
        read=_read("own.safetensors", None),
        mutations=(safetensors_header,),
    ),
    Target(name="own-description", honest=_own_checkpoints, read=_described, mutations=(safetensors_header,)),
    Target(
        name="own-header",
        honest=_headers,
        read=_header,
        mutations=(json_tree, *TEXT),
        guided=("evalsuite.networks.checkpoints.header",),
    ),
    Target(
        name="pickle-names",
        honest=_pickles,
        read=_scanned,
        mutations=(opcodes,),
        guided=("evalsuite.networks.checkpoints._pickles", "pickletools"),
    ),
    Target(
        name="records",
        honest=_record_documents,
        read=_recorded,
        mutations=(json_tree,),
        guided=("evalsuite.networks.checkpoints._records",),
    ),
)
