"""Reads photos in one folder a class, and matches the folders with the classes of another data set."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch

from evalsuite.data._base import Examples
from evalsuite.data._class_order import MOST_BYTES, some
from evalsuite.data._photo_files import read_class_folders
from evalsuite.data._photos import Photos
from evalsuite.data._preparation import TORCHVISION, Preparation
from evalsuite.data._splits import subfolders
from evalsuite.data._survey import common_size, survey
from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.files.delimited import Delimited, read_delimited, read_text
from evalsuite.files.regular_files import read_regular

_LONGEST_NUMBER: Final = 18
"""Digits of a class's number, at most: Python refuses to read the longest ones."""


def class_folders(
    root: Path,
    classes: Sequence[str],
    shape: tuple[int, int, int],
    *,
    mapping: Path | None = None,
    border: int = 0,
    preparation: Preparation = TORCHVISION,
) -> Examples:
    """Photos below `root`, one folder a class, in the order of their paths.

    Folders have the classes' names, or their numbers, or those that `mapping` gives them; folders that `mapping`
    leaves out are left out. Photos that all have the size in `shape` are taken as they are; else all are resized and
    their centre cut out, as `preparation` says.

    Args:
        root: The folder.
        classes: Names of the data set's classes, in the order of their numbers.
        shape: (channels, height, width) of its images.
        mapping: JSON ({"folder": class or [classes]}) or CSV (columns folder and class, a row for each class);
            classes by name or number. Of several classes of a folder any is accepted.
        border: Pixels that are cut off at each side of a photo first.
        preparation: How photos of the data set become images.

    Raises:
        UsageError: There are no photos, or a folder or class is not known.
        RefusedInputError: The mapping cannot be read, or none of the files in a folder can.
    """
    if not root.is_dir():
        raise UsageError(f"expected a folder with one folder a class, got {str(root)!r}")
    if shape[1] != shape[2]:
        raise UsageError(f"expected a data set of square images for photos, got {shape[1]} x {shape[2]}")
    folders = subfolders(root)
    if not folders:
        raise UsageError(f"expected one folder a class in {root}, got none")
    accepted = _accepted(root, folders, classes, mapping)
    photos = read_class_folders(root, accepted)
    paths = sorted(path for files in photos.values() for path in files.photos)
    answers = [accepted[Path(path).relative_to(root).parts[0]] for path in paths]
    sized = common_size(survey((), paths), border=border) == shape[1]
    images = Photos(
        paths=tuple(paths),
        size=shape[1],
        channels=shape[0],
        border=border,
        preparation=preparation,
        fit="keep" if sized else "resize",
    )
    several = max(map(len, answers))
    padded = torch.tensor([[*answer, *answer[:1] * (several - len(answer))] for answer in answers])
    return Examples(
        images=images,
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
        mapped = {folder: table[folder] for folder in folders if folder in table}
        if not mapped:
            raise UsageError(f"expected {mapping} to name folders of {root} ({some(folders)}), got {some(table)}")
        return {folder: _numbers(names, classes, f"{mapping}: {folder}") for folder, names in mapped.items()}
    if unknown := sorted(folder for folder in folders if _number(folder, classes) is None):
        raise UsageError(
            f"expected the folders of {root} to be called by the names or numbers of the classes ({some(classes)}), "
            f"got {some(unknown)}; a mapping (classes=FILE.json) can say which folder is which class"
        )
    return {folder: _numbers((folder,), classes, str(root)) for folder in folders}


def _numbers(names: Sequence[str], classes: Sequence[str], where: str) -> tuple[int, ...]:
    numbered = [(name, _number(name, classes)) for name in names]
    if not numbered or (unknown := [name for name, number in numbered if number is None]):
        raise UsageError(
            f"{where}: expected classes by name ({some(classes)}) or number (0 to {len(classes) - 1}), "
            f"got {some(unknown) if numbered else 'none'}"
        )
    return tuple(dict.fromkeys(number for _, number in numbered if number is not None))


def _number(name: str, classes: Sequence[str]) -> int | None:
    if name in classes:
        return classes.index(name)
    if not name.isdecimal() or len(name) > _LONGEST_NUMBER:
        return None
    if all(each.isdecimal() for each in classes):
        # classes that are called 1 to 12 have no class 0: a folder is called as they are, but for zeros before it
        values = [int(each) for each in classes if len(each) <= _LONGEST_NUMBER]
        return values.index(int(name)) if int(name) in values else None
    return int(name) if int(name) < len(classes) else None


def _table(path: Path) -> Mapping[str, tuple[str, ...]]:
    content = read_regular(path, "a mapping of folders to classes (JSON or CSV)", most=MOST_BYTES)
    try:
        if path.suffix.lower() in {".csv", ".tsv"}:
            return _read_csv(read_delimited(content, str(path)))
        return _read_json(read_text(content, str(path)))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RefusedInputError(
            f'expected {path} to be JSON like {{"folder": "class"}} or CSV with the columns folder and class, '
            f"got an error: {error!r}"
        ) from error


def _read_json(text: str) -> dict[str, tuple[str, ...]]:
    raw = json.loads(text)
    if not isinstance(raw, dict):
        raise TypeError(f"an object, not {type(raw).__name__}")
    classes_by_folder: dict[str, tuple[str, ...]] = {}
    for folder, value in raw.items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(v, str | int) and not isinstance(v, bool) for v in values):
            raise TypeError(f"names or numbers under {folder[:80]!r}")
        classes_by_folder[folder] = tuple(str(v) for v in values)
    return classes_by_folder


def _read_csv(table: Delimited) -> dict[str, tuple[str, ...]]:
    header = table.rows[0].values if table.rows else ()
    if not {"folder", "class"} <= set(header):
        raise KeyError(f"the columns {some(header)}")
    folder_place, class_place = header.index("folder"), header.index("class")
    classes: dict[str, list[str]] = {}
    for line, values in table.rows[1:]:
        if len(values) != len(header):
            raise ValueError(f"{len(values)} values in line {line}")
        classes.setdefault(values[folder_place], []).append(values[class_place])
    return {folder: tuple(names) for folder, names in classes.items()}
