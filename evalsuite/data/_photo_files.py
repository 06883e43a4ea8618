"""Lists the files below a folder that are photos, and those that are left out."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import final

from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from evalsuite.data._decode import opened
from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.files.trees import walk

# what else cameras, phones and the web write; each is read where this installation of Pillow can
_MORE = (".jfif", ".jpe", ".jp2", ".j2k", ".gif", ".avif", ".heic", ".heif", ".apng", ".pnm", ".pbm", ".dib", ".qoi")


@final
@dataclass(frozen=True, kw_only=True)
class PhotoFiles:
    """The photos and the other files of a folder.

    Attributes:
        photos: Paths of those that are read, in the order of torchvision's `make_dataset`.
        left_out: How many files of each type are not, by suffix; "" of files without one.
    """

    photos: tuple[str, ...]
    left_out: Counter[str]


def photo_files(folder: Path) -> PhotoFiles:
    """The files below `folder`, hidden ones and those that systems leave beside them apart."""
    photos: list[str] = []
    left_out: Counter[str] = Counter()
    for at, names in walk(folder):
        for name in names:
            path = at / name
            if is_photo(path):
                photos.append(str(path))
            else:
                left_out[path.suffix.lower()] += 1
    return PhotoFiles(photos=tuple(photos), left_out=left_out)


def read_class_folders(tree: Path, folders: Collection[str]) -> dict[str, PhotoFiles]:
    """The files of each of the class `folders` in `tree`.

    Raises:
        UsageError: There is no photo in any of them.
        RefusedInputError: A folder holds files, and none of them is read.
    """
    files = {name: photo_files(tree / name) for name in folders}
    readable = " ".join(suffixes())
    if not any(entry.photos for entry in files.values()):
        left_out = listed(sum((entry.left_out for entry in files.values()), Counter[str]()))
        kinds = f", only {left_out}" if left_out else ""
        raise UsageError(f"expected images ({readable}) in the class folders of {tree}, got none{kinds}")
    for name, entry in files.items():
        if entry.left_out and not entry.photos:
            raise RefusedInputError(
                f"expected photos that can be read ({readable}) in {tree / name}, got only {listed(entry.left_out)}: "
                f"convert them, or remove the folder"
            )
    return files


@cache
def suffixes() -> tuple[str, ...]:
    """Of files that are read as photos."""
    registered = Image.registered_extensions()
    return tuple(s for s in (*IMG_EXTENSIONS, *_MORE) if registered.get(s) in Image.OPEN)


def listed(left_out: Counter[str]) -> str:
    """Types of files and their numbers: ".heic 2, .txt 1"."""
    shown = [f"{suffix or 'without a suffix'} {count}" for suffix, count in left_out.most_common(5)]
    return ", ".join(shown) + (f" and {len(left_out) - 5} more types" if len(left_out) > 5 else "")


def is_photo(path: Path) -> bool:
    """Whether a file is read as a photo: by its suffix, or by its first bytes where it has none."""
    suffix = path.suffix.lower()
    if suffix:
        return suffix in suffixes()
    # a name without a suffix says nothing: the file's first bytes do
    try:
        with opened(str(path)):
            return True
    except RefusedInputError:
        return False
