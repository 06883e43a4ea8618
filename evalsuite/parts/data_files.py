"""Which files a data set is read from, told from its name alone: what shows that data have changed since a run.

It imports no torch and reads no data, so that a finished run is recognised at once.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from evalsuite.errors import RefusedInputError
from evalsuite.files.given_paths import expanded
from evalsuite.files.regular_files import kind_of
from evalsuite.parts.data_names import DataName, parse_data_name

FASHION_MNIST_PACKAGE: Final = Path("/usr/share/datasets/fashion-mnist")

_MOST_VISITS: Final = 1000
"""Of one folder, by different links."""

# what systems and tools leave beside files: no photos, no classes
_LITTER: Final = frozenset(
    {
        *("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    }
)


def is_litter(name: str) -> bool:
    """Whether a file or folder called `name` is hidden, or one of those that systems leave everywhere."""
    return name.startswith(".") or name.lower() in _LITTER


def walk(folder: Path) -> list[tuple[Path, list[str]]]:
    """`folder` and all folders below it with the names of their files, sorted; links are followed, litter left out.

    Raises:
        RefusedInputError: Links lead to the same folders over and over, or something in a folder is no file: a pipe, a
            socket or a device.
    """
    return sorted(_walked(str(folder)), key=lambda found: str(found[0]))


def _walked(folder: str) -> Iterator[tuple[Path, list[str]]]:
    ahead: list[tuple[str, frozenset[str]]] = [(folder, frozenset())]
    visits: dict[str, int] = {}
    while ahead:
        at, above = ahead.pop()
        real = os.path.realpath(at)
        # a link to a folder above would be followed for ever
        if real in above or not Path(at).is_dir():
            continue
        # two links in each of thirty folders to the next are a thousand million ways
        visits[real] = visits.get(real, 0) + 1
        if visits[real] > _MOST_VISITS:
            raise RefusedInputError(f"expected links to different folders in {folder}, got many ways to {real}")
        files: list[str] = []
        with os.scandir(at) as entries:
            for entry in entries:
                if is_litter(entry.name):
                    continue
                if entry.is_dir():
                    ahead.append((entry.path, above | {real}))
                else:
                    _check_file(entry)
                    files.append(entry.name)
        yield Path(at), sorted(files)


def _check_file(entry: os.DirEntry[str]) -> None:
    if entry.is_file(follow_symlinks=False):
        return
    try:
        kind = kind_of(entry.stat().st_mode)
    except OSError:
        return  # a link that leads nowhere: whoever reads it says so
    if kind is not None:
        raise RefusedInputError(f"expected files, got {kind}: {entry.path}")


def tree(folder: Path) -> tuple[Path, ...]:
    """All files below `folder`."""
    return tuple(at / name for at, names in walk(folder) for name in names)


def archive_roots() -> tuple[Path, ...]:
    """Folders in which published data sets are looked for, the one to download to first.

    The environment variable EVALSUITE_DATA names the only one; else the user's cache, then `data` in the working
    directory, where torchvision's own examples put theirs.
    """
    if "EVALSUITE_DATA" in os.environ:
        return (expanded(os.environ["EVALSUITE_DATA"]),)
    cache = expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return (cache / "evalsuite" / "data", Path("data"))


def files_of(name: str) -> tuple[Path, ...] | None:
    """Every file that the data set called `name` is read from; some of them may be missing.

    Empty where the data come with a library, or where their readers check them against published digests; None where
    that cannot be told: data from a factory, or from a source of another package.
    """
    parsed = parse_data_name(name)
    kind = parsed.kind.replace("_", "-")
    if kind in _READ_FROM:
        return _READ_FROM[kind](parsed)
    return () if kind in _BUNDLED else None


def table_files(path: Path, test: str) -> tuple[Path, ...]:
    """Of a table: the file, and the one with the held-out rows where there is one."""
    return (path, expanded(test)) if test else (path,)


def folder_files(path: Path, classes: str | None) -> tuple[Path, ...]:
    """Of a folder of photos: all files in it, and the list of its classes where there is one."""
    listed = (expanded(classes),) if classes else ()
    return (*listed, *tree(path))


def voc_files(path: Path, year: str) -> tuple[Path, ...]:
    """Of a folder with the challenge of one year."""
    return tree(path / "VOCdevkit" / f"VOC{year}")


def archive_files(*folders: str) -> tuple[Path, ...]:
    """Files in `folders` of all roots."""
    return tuple(file for root in archive_roots() for folder in folders for file in tree(root / folder))


def fashion_files(package: str | None) -> tuple[Path, ...]:
    """Of Fashion-MNIST: what torchvision keeps, or the files of Debian's package."""
    return (*archive_files("FashionMNIST/raw"), *tree(Path(package or FASHION_MNIST_PACKAGE)))


def _of_table(name: DataName) -> tuple[Path, ...]:
    return table_files(name.path, name.option("test") or "")


def _of_photos(name: DataName) -> tuple[Path, ...]:
    return folder_files(name.path, name.option("classes"))


def _of_voc(name: DataName) -> tuple[Path, ...]:
    return voc_files(name.path, name.option("year") or "2012")


# torchvision checks the files of CIFAR and SVHN against published digests, and those of the other two never
_READ_FROM: Final[Mapping[str, Callable[[DataName], tuple[Path, ...]]]] = MappingProxyType(
    {
        "csv": _of_table,
        "npz": lambda name: (name.path,),
        "folder": _of_photos,
        "super-resolution": lambda name: tree(name.path),
        "voc": _of_voc,
        "mnist": lambda _: archive_files("MNIST/raw"),
        "fashion-mnist": lambda name: fashion_files(name.option("package")),
    }
)
_BUNDLED: Final = frozenset({"digits", "diabetes", "sample-photos", "cifar10", "cifar100", "svhn"})
