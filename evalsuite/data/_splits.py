"""Finds the folders of training and of held-out examples below a folder of photos."""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from evalsuite.data._class_order import some
from evalsuite.errors import UsageError
from evalsuite.files.trees import is_litter
from evalsuite.interpretation import Interpretation

_ROLES: Final = {
    "train": frozenset({"train", "training"}),
    "test": frozenset({"test", "testing"}),
    "val": frozenset({"val", "valid", "validation", "eval", "evaluation", "dev"}),
}
# beside the name of a split they say nothing that a class could be called by
_GENERIC: Final = frozenset({
    "set", "sets", "data", "dataset", "datasets", "split", "folder", "dir", "image", "images", "img", "imgs", "photo",
    "photos", "picture", "pictures", "pic", "pics", "file", "files", "new", "final", "all", "full", "cropped",
    "resized", "jpg", "jpeg", "png",
})  # fmt: skip


@final
@dataclass(frozen=True, kw_only=True)
class Splits:
    """The two halves of a data set.

    Attributes:
        train: The folder of training examples; None where there is none.
        test: That of held-out ones.
        reading: Why these.
    """

    train: Path | None
    test: Path
    reading: Interpretation


def labelled_splits(root: Path) -> Splits:
    """Splits of `root` whose held-out half has class folders: the test set, else the validation set, else all of it.

    Raises:
        UsageError: There is no such half, or a split goes by two names.
    """
    folders = subfolders(root)
    roles = {role: _called(root, folders, role) for role in _ROLES}
    train, held_out = roles["train"], [roles[role] for role in ("test", "val") if roles[role] is not None]
    if train is None and not held_out:
        _check_no_splits_below(root, folders)
        return Splits(train=None, test=root, reading=_reading(root.name or str(root), "the folder itself", given=True))
    classes = None if train is None else {spelled_alike(name) for name in subfolders(train)}
    labelled = [folder for folder in held_out if folder is not None and _has_labels(folder, classes)]
    if not labelled:
        raise _without_labels(root, train, [folder for folder in held_out if folder is not None], folders)
    test = labelled[0]
    others = [folder for folder in held_out if folder is not None and folder != test]
    reason = "; ".join(
        f"{folder.name} is left alone" if folder in labelled else f"{folder.name} has no folders of the classes"
        for folder in others
    )
    return Splits(train=train, test=test, reading=_reading(test.name, reason))


def plain_splits(root: Path) -> Splits:
    """Splits of `root` that hold photos without classes: the test set, else the validation set, else all of it.

    Raises:
        UsageError: A split goes by two names, or there are training photos alone.
    """
    folders = subfolders(root)
    roles = {role: _called(root, folders, role) for role in _ROLES}
    test = roles["test"] or roles["val"]
    if test is not None:
        return Splits(train=roles["train"], test=test, reading=_reading(test.name, ""))
    if roles["train"] is not None:
        raise _without_labels(root, roles["train"], [], folders)
    return Splits(train=None, test=root, reading=_reading(root.name or str(root), "the folder itself", given=True))


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted; those that systems and tools leave behind apart."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not is_litter(entry.name))


def spelled_alike(name: str) -> str:
    """What two spellings of a name share: file systems change case, and how accents are written."""
    return unicodedata.normalize("NFC", name).casefold()


def check_same_classes(held_out: Path, trained: Path, classes: Collection[str]) -> None:
    """Make sure that the class folders of `held_out` are among `classes`, those of `trained`.

    Raises:
        UsageError: Some are not, or are spelled in another way.
    """
    unknown = sorted(set(subfolders(held_out)) - set(classes))
    spellings = {spelled_alike(name): name for name in classes}
    for name in unknown:
        if (near := spellings.get(spelled_alike(name))) is not None:
            raise UsageError(
                f"expected the classes of {held_out} to be spelled as those of {trained}, got {name!r} for {near!r}: "
                f"rename one of the folders"
            )
    if unknown:
        raise UsageError(f"expected the classes of {held_out} to be those of {trained}, got also {unknown}")


def _check_no_splits_below(root: Path, folders: Collection[str]) -> None:
    """Where each class has its own splits, or a folder stands around all, names of splits would count as classes."""
    for name in folders:
        below = subfolders(root / name)
        roles = [role for role in _ROLES if _named(below, role)]
        if "train" in roles and len(roles) > 1:
            raise UsageError(
                f"expected class folders within train and test, got train and test within {root / name}: "
                f"folder:{root / name} takes that one alone"
            )


def _called(root: Path, folders: Collection[str], role: str) -> Path | None:
    names = _named(folders, role)
    if len(names) > 1:
        raise UsageError(
            f"expected one folder of the {role} split in {root}, got {' and '.join(names)}: join them, or move others "
            f"elsewhere; where they are classes, put the class folders into a folder called test"
        )
    return root / names[0] if names else None


def _named(folders: Collection[str], role: str) -> list[str]:
    """Those that are called by `role` and nothing else: "Training", "test_set", "TestImages2", not "train_station"."""
    return [folder for folder in folders if set(words := _telling_words(folder)) <= _ROLES[role] and len(words) == 1]


def _telling_words(name: str) -> list[str]:
    """Words of a folder's name without generic ones, in lower case: they end at digits, marks and inner capitals."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+", apart)]
    whole = [re.sub(r"(?<=.)(set|data)$", "", word) for word in words]  # "trainset"
    return [word for word in whole if word not in _GENERIC]


def _has_labels(folder: Path, classes: Collection[str] | None) -> bool:
    names = subfolders(folder)
    return bool(names) and (classes is None or any(spelled_alike(name) in classes for name in names))


def _without_labels(root: Path, train: Path | None, held_out: list[Path], folders: Collection[str]) -> UsageError:
    if train is not None and not held_out:
        beside = some([name for name in folders if name != train.name])
        return UsageError(
            f"expected test or val beside {train.name} in {root}, got {beside}; where {train.name!r} is a class, "
            f"put the class folders into a folder called test"
        )
    kinds = [f"{some(subfolders(folder))} in {folder}" for folder in held_out]
    wanted = "one folder a class" if train is None else f"one folder a class, as in {train},"
    return UsageError(f"expected {wanted} in {' or '.join(map(str, held_out))}, got {' and '.join(kinds)}")


def _reading(value: str, reason: str, *, given: bool = False) -> Interpretation:
    return Interpretation(topic="held-out photos", value=value, basis="given" if given else "recorded", reason=reason)
