"""Photos in one folder a class, whose folders are matched with the classes of another data set."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

from evalsuite.data._base import Examples
from evalsuite.data.folder import Photos
from evalsuite.errors import RefusedInputError, UsageError


def class_folders(
    root: Path, classes: Sequence[str], shape: tuple[int, int, int], *, mapping: Path | None = None, border: int = 0
) -> Examples:
    """Photos below `root`, one folder a class, in the order of their paths.

    Folders have the classes' names, or their numbers, or those that `mapping` gives them; folders that `mapping`
    leaves out are left out. A photo of the size in `shape` is taken as it is; of others the shorter side is resized to
    256/224 of it and the centre cut out. torchvision's `make_dataset` finds the files.

    Args:
        root: The folder.
        classes: Names of the data set's classes, in the order of their numbers.
        shape: (channels, height, width) of its images.
        mapping: JSON ({"folder": class or [classes]}) or CSV (columns folder and class, a row for each class);
            classes by name or number. Of several classes of a folder any is accepted.
        border: Pixels that are cut off at each side of a photo first.

    Raises:
        UsageError: There are no photos, or a folder or class is not known.
        RefusedInputError: The mapping cannot be read.
    """
    if not root.is_dir():
        raise UsageError(f"expected a folder with one folder a class, got {str(root)!r}")
    if shape[1] != shape[2]:
        raise UsageError(f"expected a data set of square images for photos, got {shape[1]} x {shape[2]}")
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        raise UsageError(f"expected one folder a class in {root}, got none")
    accepted = _accepted(root, folders, classes, mapping)
    found = make_dataset(str(root), dict.fromkeys(accepted, 0), extensions=IMG_EXTENSIONS, allow_empty=True)
    if not found:
        raise UsageError(f"expected images ({' '.join(IMG_EXTENSIONS)}) in the class folders of {root}, got none")
    paths = sorted(path for path, _ in found)
    answers = [accepted[Path(path).relative_to(root).parts[0]] for path in paths]
    photos = Photos(paths=tuple(paths), size=shape[1], channels=shape[0], border=border, as_they_are=True)
    several = max(map(len, answers))
    padded = torch.tensor([[*answer, *answer[:1] * (several - len(answer))] for answer in answers])
    return Examples(
        images=photos,
        labels=padded[:, 0],
        positions=torch.arange(len(paths)),
        accepted=padded if several > 1 else None,
    )


def _accepted(
    root: Path, folders: Sequence[str], classes: Sequence[str], mapping: Path | None
) -> dict[str, tuple[int, ...]]:
    """Class numbers by folder."""
    if mapping is not None:
        table = _table(mapping)
        known = {folder: table[folder] for folder in folders if folder in table}
        if not known:
            raise UsageError(f"expected {mapping} to name folders of {root} ({_some(folders)}), got {_some(table)}")
        return {folder: _numbers(names, classes, f"{mapping}: {folder}") for folder, names in known.items()}
    if unknown := sorted(folder for folder in folders if _number(folder, classes) is None):
        raise UsageError(
            f"expected the folders of {root} to be called by the names or numbers of the classes ({_some(classes)}), "
            f"got {_some(unknown)}; a mapping (classes=FILE.json) can say which folder is which class"
        )
    return {folder: _numbers((folder,), classes, str(root)) for folder in folders}


def _numbers(names: Sequence[str], classes: Sequence[str], where: str) -> tuple[int, ...]:
    found = [(name, _number(name, classes)) for name in names]
    if not found or (unknown := [name for name, number in found if number is None]):
        raise UsageError(
            f"{where}: expected classes by name ({_some(classes)}) or number (0 to {len(classes) - 1}), "
            f"got {_some(unknown) if found else 'none'}"
        )
    return tuple(dict.fromkeys(number for _, number in found if number is not None))


def _number(name: str, classes: Sequence[str]) -> int | None:
    if name in classes:
        return classes.index(name)
    return int(name) if name.isdecimal() and int(name) < len(classes) else None


def _table(path: Path) -> Mapping[str, tuple[str, ...]]:
    if not path.is_file():
        raise UsageError(f"expected a mapping of folders to classes (JSON or CSV), got {str(path)!r}, no file")
    try:
        text = path.read_text(encoding="utf-8-sig")
        return _of_csv(text) if path.suffix.lower() == ".csv" else _of_json(text)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RefusedInputError(
            f'expected {path} to be JSON like {{"folder": "class"}} or CSV with the columns folder and class, '
            f"got an error: {error!r}"
        ) from error


def _of_json(text: str) -> dict[str, tuple[str, ...]]:
    raw = json.loads(text)
    if not isinstance(raw, dict):
        raise TypeError(f"an object, not {type(raw).__name__}")
    found: dict[str, tuple[str, ...]] = {}
    for folder, value in raw.items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(v, str | int) and not isinstance(v, bool) for v in values):
            raise TypeError(f"names or numbers under {folder!r}")
        found[folder] = tuple(str(v) for v in values)
    return found


def _of_csv(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    reader = csv.DictReader(text.splitlines())
    if not {"folder", "class"} <= set(reader.fieldnames or ()):
        raise KeyError(f"the columns {', '.join(reader.fieldnames or ())}")
    for row in reader:
        found[row["folder"]] = (*found.get(row["folder"], ()), row["class"])
    return found


def _some(names: Sequence[str] | Mapping[str, object]) -> str:
    shown = [repr(name) for name in list(names)[:5]]
    return ", ".join(shown) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "none"
