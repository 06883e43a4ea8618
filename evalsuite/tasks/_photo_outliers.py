"""Photos of a folder as outliers: one of them for each example, drawn by the example's key."""

import hashlib
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from evalsuite.data._photo_files import photo_files, suffixes
from evalsuite.data._photos import Photos
from evalsuite.errors import UsageError
from evalsuite.files.given_paths import expanded
from evalsuite.randomness import integers


def photos(at: str) -> tuple[Path, ...]:
    """All images below the folder `at`, in the order of their paths.

    Raises:
        UsageError: There is no such folder, or no image in it.
    """
    root = expanded(at)
    files = tuple(sorted(map(Path, photo_files(root).photos))) if root.is_dir() else ()
    if not files:
        wanted = " ".join(suffixes())
        raise UsageError(f"ood/folder: expected in at= a folder with images ({wanted}), got {at!r}, without any")
    return files


def drawn(at: str, images: Tensor, keys: Tensor) -> Tensor:
    """A photo for each of `images` (n, c, h, h), of their shape and in [0, 1]; the same one may serve several.

    Raises:
        RefusedInputError: A file cannot be decoded.
    """
    paths = photos(at)
    stack = Photos(paths=tuple(map(str, paths)), size=images.shape[2], channels=images.shape[1], fit="resize others")
    chosen = stack[integers(keys, 0, len(paths)).cpu()]
    return (chosen.to(torch.float32) / 255).to(images.device)


def content(at: str) -> str:
    """A digest of the names and contents of the photos, 16 hex digits: what the observations depend on."""
    stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in photos(at)]
    return _content(tuple(stamps), expanded(at))


@lru_cache(maxsize=8)
def _content(stamps: tuple[tuple[str, int, int], ...], root: Path) -> str:
    digest = hashlib.sha256()
    for path, _, _ in stamps:
        with Path(path).open("rb") as file:
            digest.update(f"{Path(path).relative_to(root).as_posix()}\n".encode())
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
