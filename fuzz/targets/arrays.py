"""Data of numbers: numpy's archives and arrays, idx files, tables, tables of slices."""

import gzip
import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fuzz.mutations.archives import gzipped, zip_members
from fuzz.mutations.arrays import npy_header
from fuzz.mutations.plain import BYTES, TEXT
from fuzz.target import Target


def _npz(_: Path) -> Sequence[bytes]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4, 5, 4, 3), dtype=np.uint8)
    labels = np.array([0, 1, 2, 1])
    plain = {"x_test": images, "y_test": labels}
    trained = {
        "x_train": images[::-1] // 2,
        "y_train": np.eye(3, dtype=np.float32)[labels],
        "classes": np.array(["a", "b", "c"]),
    }
    floats = {"x_test": random.random((4, 1, 5, 4)).astype(np.float32), "y_test": labels[:, None].astype(np.int8)}
    return [_saved(np.savez, plain), _saved(np.savez, plain | trained), _saved(np.savez_compressed, floats)]


def _odd_npz() -> Sequence[bytes]:
    objects = np.array([{"a": 1}], dtype=object)
    buffer = io.BytesIO()
    np.savez(buffer, x_test=objects, y_test=objects)
    return [buffer.getvalue(), _npy(np.zeros(3))]


def _saved(save: object, arrays: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    assert callable(save)
    save(buffer, **arrays)
    return buffer.getvalue()


def _npy(array: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)  # type: ignore[arg-type]  # arrays, all of them
    return buffer.getvalue()


def _read_npz(data: bytes, folder: Path) -> object:
    from evalsuite.data import load

    (folder / "set.npz").write_bytes(data)
    dataset = load(f"npz:{folder / 'set.npz'}")
    return dataset.test.pixels([0]), dataset.test.ids


def _cifar_c(_: Path) -> Sequence[bytes]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
    return [_npy(images), _npy(np.asfortranarray(images))]


def _labels(_: Path) -> Sequence[bytes]:
    return [_npy(np.arange(10) % 3), _npy((np.arange(10) % 3).astype(np.float64)), _npy(np.eye(3)[np.arange(10) % 3])]


def _read_images(data: bytes, folder: Path) -> object:
    (folder / "fog.npy").write_bytes(data)
    (folder / "labels.npy").write_bytes(_labels(folder)[0])
    return _shifted(folder)


def _read_labels(data: bytes, folder: Path) -> object:
    (folder / "fog.npy").write_bytes(_cifar_c(folder)[0])
    (folder / "labels.npy").write_bytes(data)
    return _shifted(folder)


def _shifted(folder: Path) -> object:
    import torch

    from evalsuite.data import Dataset, Examples
    from evalsuite.evaluation.examples import check_examples
    from evalsuite.tasks._names import parse

    shape = (3, 4, 4)
    blank = Examples.from_labels(torch.zeros(3, *shape, dtype=torch.uint8), torch.arange(3))
    dataset = Dataset(
        name="blank", classes=("a", "b", "c"), shape=shape, train=None, test=blank, mean=(0.0,) * 3, std=(1.0,) * 3
    )
    task = parse(f"shift/cifar-c/fog/3?at={folder}")
    examples = task.examples(dataset)
    assert examples is not None
    check_examples(task, examples, dataset)
    return examples.pixels(list(range(len(examples)))), examples.ids


def _idx_images() -> bytes:
    return struct.pack(">4B3I", 0, 0, 8, 3, 4, 2, 2) + bytes(range(16))


def _idx_labels() -> bytes:
    return struct.pack(">4BI", 0, 0, 8, 1, 4) + bytes((0, 1, 2, 1))


def _idx(_: Path) -> Sequence[bytes]:
    return [gzip.compress(_idx_images())]


def _read_idx(data: bytes, folder: Path) -> object:
    from evalsuite.data._idx import read_idx

    (folder / "images.gz").write_bytes(data)
    return read_idx(folder / "images.gz", axes=3)


def _plain_idx(_: Path) -> Sequence[bytes]:
    return [_idx_images()]


def _read_mnist(data: bytes, folder: Path) -> object:
    """As torchvision unpacks it."""
    import os

    from evalsuite.data import load

    place = folder / "MNIST" / "raw"
    place.mkdir(parents=True, exist_ok=True)
    for split in ("train", "t10k"):
        (place / f"{split}-images-idx3-ubyte").write_bytes(data if split == "t10k" else _idx_images()[:16] + bytes(16))
        (place / f"{split}-labels-idx1-ubyte").write_bytes(_idx_labels())
    os.environ["EVALSUITE_DATA"] = str(folder)
    try:
        return load("mnist").test.pixels([0])
    finally:
        del os.environ["EVALSUITE_DATA"]


def _svhn() -> Sequence[bytes]:
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, {"X": np.zeros((32, 32, 3, 2), dtype=np.uint8), "y": np.array([[1], [10]])})
    return [buffer.getvalue()]


def _read_svhn(data: bytes, folder: Path) -> object:
    """Refused by its digest before it is read, whatever it is."""
    import os

    from evalsuite.data import load

    for split in ("train", "test"):
        (folder / f"{split}_32x32.mat").write_bytes(data)
    os.environ["EVALSUITE_DATA"] = str(folder)
    try:
        return load("svhn")
    finally:
        del os.environ["EVALSUITE_DATA"]


_TABLE = "a,b,answer\n" + "".join(f"{k},{k * k / 7:.3f},{2 * k}\n" for k in range(12))


def _tables(_: Path) -> Sequence[bytes]:
    semicolons = _TABLE.replace(",", ";").replace(".", ",")
    tabs = _TABLE.replace(",", "\t")
    return [
        _TABLE.encode(),
        b"\xef\xbb\xbf" + semicolons.encode(),
        tabs.encode("utf-16"),
        b"sep=;\r\n" + semicolons.encode(),
    ]


def _read_table(data: bytes, folder: Path) -> object:
    from evalsuite.data import load

    (folder / "table.csv").write_bytes(data)
    return load(f"csv:{folder / 'table.csv'}?target=answer").test.pixels([0])


def _read_held_out(data: bytes, folder: Path) -> object:
    from evalsuite.data import load

    (folder / "table.csv").write_text(_TABLE.replace("0,", "9,"), encoding="utf-8")
    (folder / "test.csv").write_bytes(data)
    return load(f"csv:{folder / 'table.csv'}?target=answer&test={folder / 'test.csv'}").test.pixels([0])


def _delimited(data: bytes, _: Path) -> object:
    from evalsuite.errors import UsageError
    from evalsuite.files.delimited import read_delimited

    try:
        return read_delimited(data, "table.csv")
    except ValueError as error:
        raise UsageError(str(error)) from error


def _slice_tables(_: Path) -> Sequence[bytes]:
    by_id = "id,site,sex\n" + "".join(
        f"{k:064x},{'north' if k % 2 else 'south'},{'f' if k % 3 else ''}\n" for k in range(6)
    )
    return [b"site,camera\nnorth,a\nsouth,b\n\nnorth,\n", by_id.encode(), by_id.replace(",", ";").encode("utf-16")]


def _read_slices(data: bytes, folder: Path) -> object:
    from evalsuite.data._slices import read

    (folder / "slices.csv").write_bytes(data)
    slices = read(folder / "slices.csv")
    return slices.numbered(list(slices.ids or range(len(slices.rows))))


_TABULAR = ("evalsuite.files.delimited", "csv")

TARGETS = (
    Target(
        name="npz",
        honest=_npz,
        odd=_odd_npz,
        read=_read_npz,
        mutations=(zip_members({".npy": (npy_header, npy_header)}),),
    ),
    Target(name="cifar-c-images", honest=_cifar_c, read=_read_images, mutations=(npy_header,)),
    Target(name="cifar-c-labels", honest=_labels, read=_read_labels, mutations=(npy_header,)),
    Target(
        name="idx-gz", honest=_idx, read=_read_idx, mutations=(gzipped(*BYTES),), guided=("evalsuite.data._idx", "gzip")
    ),
    Target(name="mnist", honest=_plain_idx, read=_read_mnist),
    Target(name="svhn", honest=lambda _: (), odd=_svhn, read=_read_svhn),
    Target(
        name="csv", honest=_tables, read=_read_table, mutations=TEXT, guided=("evalsuite.data._read_csv", *_TABULAR)
    ),
    Target(name="csv-held-out", honest=_tables, read=_read_held_out, mutations=TEXT),
    Target(name="delimited", honest=_tables, read=_delimited, mutations=TEXT, guided=_TABULAR),
    Target(
        name="slices",
        honest=_slice_tables,
        read=_read_slices,
        mutations=TEXT,
        guided=("evalsuite.data._slices", *_TABULAR),
    ),
)
