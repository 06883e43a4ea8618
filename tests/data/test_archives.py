"""MNIST, Fashion-MNIST, CIFAR and SVHN, read by torchvision from small files in their real formats.

torchvision checks CIFAR and SVHN by the digests of the published files; here those of the files written by the test
take their place, and nothing else.
"""

import gzip
import hashlib
import pickle
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import scipy.io
from torchvision import datasets

from evalsuite.data import Dataset, load
from evalsuite.data.fashion_mnist import FashionMnist
from evalsuite.errors import RefusedInputError, UsageError

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVALSUITE_DATA", str(tmp_path / "cache"))
    # no test ever reaches for the network
    nowhere = (tmp_path / "nowhere").as_uri() + "/"
    monkeypatch.setattr(datasets.MNIST, "mirrors", [nowhere])
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [nowhere])
    monkeypatch.setattr(datasets.CIFAR10, "url", nowhere + "cifar.tar.gz")
    monkeypatch.setattr(datasets.CIFAR100, "url", nowhere + "cifar.tar.gz")
    monkeypatch.setattr(FashionMnist.__init__, "__kwdefaults__", {"package": tmp_path / "no-package"})
    return tmp_path / "cache"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which this machine serves it to itself."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "server"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as serving:
        thread = Thread(target=serving.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{serving.server_port}/"
        serving.shutdown()
        thread.join()


def pictures(n: int, shape: tuple[int, ...], seed: int) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324  # what torchvision compares


def idx(array: Array) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()


def mnist_files() -> dict[str, Array]:
    labels = np.arange(6, dtype=np.uint8)
    return {
        "train-images-idx3-ubyte": pictures(6, (28, 28), 0),
        "train-labels-idx1-ubyte": labels,
        "t10k-images-idx3-ubyte": pictures(4, (28, 28), 1),
        "t10k-labels-idx1-ubyte": labels[:4][::-1].copy(),
    }


def check_mnist(result: Dataset) -> None:
    files = mnist_files()
    assert (len(result.train), len(result.test), result.shape, result.overlap) == (6, 4, (1, 28, 28), 0)
    images = result.train.pixels(range(6)).numpy()[:, 0]
    np.testing.assert_array_equal(np.round(images * 255), files["train-images-idx3-ubyte"])
    assert result.test.labels.tolist() == [3, 2, 1, 0]
    assert result.mean == pytest.approx((images.mean(),), rel=1e-5)
    assert result.std == pytest.approx((images.std(),), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "folder", "class_3"), [("mnist", "MNIST", "3"), ("fashion-mnist", "FashionMNIST", "Dress")]
)
def test_extracted_idx_files_in_torchvisions_folder(root: Path, name: str, folder: str, class_3: str) -> None:
    (root / folder / "raw").mkdir(parents=True)
    for file, array in mnist_files().items():
        (root / folder / "raw" / file).write_bytes(idx(array))
    result = load(name)
    check_mnist(result)
    assert result.classes[3] == class_3
    assert result.name == name


def test_a_damaged_idx_file_is_refused(root: Path) -> None:
    (root / "MNIST" / "raw").mkdir(parents=True)
    for file, array in mnist_files().items():
        (root / "MNIST" / "raw" / file).write_bytes(idx(array)[:-1])
    with pytest.raises(RefusedInputError, match=r"files of MNIST in .* as published"):
        load("mnist")


def test_debians_package_of_fashion_mnist(root: Path, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    for file, array in mnist_files().items():
        (tmp_path / "package" / f"{file}.gz").write_bytes(gzip.compress(idx(array)))
    outcome = FashionMnist(package=tmp_path / "package").load()
    check_mnist(outcome)
    assert outcome.classes[9] == "Ankle boot"
    assert not root.exists()


def test_mnist_is_downloaded_by_torchvision(
    root: Path, server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, address = server
    resources = []
    for file, array in mnist_files().items():
        (folder / f"{file}.gz").write_bytes(gzip.compress(idx(array)))
        resources.append((f"{file}.gz", md5(folder / f"{file}.gz")))
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [address])
    check_mnist(load("mnist"))
    assert capsys.readouterr().out == ""
    assert (root / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file()


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "cifar100"])
def test_where_files_are_looked_for_is_told_when_they_cannot_be_had(root: Path, name: str) -> None:
    with pytest.raises(UsageError, match="downloading failed") as caught:
        load(name)
    assert str(root) in str(caught.value)
    assert "EVALSUITE_DATA" in str(caught.value)


def cifar_tree(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[datasets.CIFAR10]) -> tuple[Array, Array]:
    """Write what the archive of CIFAR unpacks to; returns the training images, n c h w."""
    folder.mkdir(parents=True)
    coarse = kind is datasets.CIFAR10
    label_key, name_key = ("labels", "label_names") if coarse else ("fine_labels", "fine_label_names")
    digests = {}
    images = []
    for place, (name, _) in enumerate([*kind.train_list, *kind.test_list]):
        batch = pictures(4, (3, 32, 32), place)
        images.append(batch)
        entry = {"data": batch.reshape(4, -1), label_key: [0, 1, 2, place % 3]}
        (folder / name).write_bytes(pickle.dumps(entry))
        digests[name] = md5(folder / name)
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps({name_key: ["ant", "bee", "cow"]}))
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": md5(folder / kind.meta["filename"])})
    monkeypatch.setattr(kind, "train_list", [[name, digests[name]] for name, _ in kind.train_list])
    monkeypatch.setattr(kind, "test_list", [[name, digests[name]] for name, _ in kind.test_list])
    return np.concatenate(images[:-1]), images[-1]


@pytest.mark.parametrize(
    ("name", "kind", "first_mean"), [("cifar10", datasets.CIFAR10, 0.4914), ("cifar100", datasets.CIFAR100, 0.5071)]
)
def test_cifar(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[datasets.CIFAR10], first_mean: float
) -> None:
    train, test = cifar_tree(root / kind.base_folder, monkeypatch, kind)
    actual = load(name)
    assert actual.shape == (3, 32, 32)
    assert actual.classes == ("ant", "bee", "cow")
    assert actual.mean[0] == first_mean
    np.testing.assert_array_equal(np.round(actual.train.pixels(range(len(train))).numpy() * 255), train)
    np.testing.assert_array_equal(np.round(actual.test.pixels(range(4)).numpy() * 255), test)
    assert actual.train.labels.tolist()[:4] == [0, 1, 2, 0]


@pytest.mark.usefixtures("root")
def test_cifar_is_downloaded_by_torchvision(server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, address = server
    kind = datasets.CIFAR10
    train, _ = cifar_tree(folder / kind.base_folder, monkeypatch, kind)
    packed = folder / "cifar.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder / kind.base_folder, kind.base_folder)
    monkeypatch.setattr(kind, "url", address + packed.name)
    monkeypatch.setattr(kind, "tgz_md5", md5(packed))
    computed = load("cifar10")
    np.testing.assert_array_equal(np.round(computed.train.pixels(range(20)).numpy() * 255), train)


def test_cifar_files_with_another_digest_are_never_unpickled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar_tree(root / "cifar-10-batches-py", monkeypatch, datasets.CIFAR10)

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (pytest.fail, ("unpickled",))

    (root / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(RefusedInputError, match=r"files of CIFAR-10 in .* as published"):
        load("cifar10")


def test_svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir()
    splits = {}
    for part, n in (("train", 5), ("test", 3)):
        path = root / f"{part}_32x32.mat"
        # as published: h w c n, and the digit 0 is labelled 10
        images = pictures(n, (3, 32, 32), n)
        scipy.io.savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": np.array([[10], [1], [2], [3], [4]][:n])})
        splits[part] = (images, ["file:///nowhere", path.name, md5(path)])
    monkeypatch.setattr(datasets.SVHN, "split_list", {part: entry for part, (_, entry) in splits.items()})
    result = load("svhn")
    assert result.train.labels.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(np.round(result.test.pixels(range(3)).numpy() * 255), splits["test"][0])
    assert result.shape == (3, 32, 32)


@pytest.mark.usefixtures("root")
def test_without_a_variable_the_cache_comes_before_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVALSUITE_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    places = {"data": tmp_path / "data", "cache": tmp_path / "home" / "evalsuite" / "data"}
    for place, level in (("data", 1), ("cache", 2)):
        folder = places[place] / "MNIST" / "raw"
        folder.mkdir(parents=True)
        for file, array in mnist_files().items():
            values = np.full_like(array, level) if "labels" in file else array
            (folder / file).write_bytes(idx(values))
        assert load("mnist").test.labels.tolist() == [level] * 4
