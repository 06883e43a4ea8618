"""Numbers classes by the names of their folders, and says how far such numbers can be trusted."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, final

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.files.delimited import read_text
from evalsuite.files.regular_files import read_regular
from evalsuite.interpretation import Basis, Interpretation
from evalsuite.wording import listed

Order = Literal["text", "number"]

MOST_BYTES = 2**26
"""Of a file that names classes."""
_LONGEST = 80
_TOPIC = "class order"
_EITHER = "?order=number|text or ?classes=FILE"
_OUTPUTS = "--classes data (the order of the data), NAME,NAME,... or FILE: the order of the network's outputs"
_TEXT = "?order=text or ?classes=FILE"


@final
@dataclass(frozen=True, kw_only=True)
class ClassOrder:
    """Names of classes in the order of their numbers, and why it is that order."""

    names: tuple[str, ...]
    reading: Interpretation


class _Numbered(NamedTuple):
    around: tuple[str, str]
    number: int


def class_order(names: Collection[str], order: Order | None, where: str) -> ClassOrder:
    """Order classes by their names.

    Names that are whole numbers, such as 0 to 11, stand in the order of their values; others in that of their text, as
    torchvision's ImageFolder has all of them.

    Args:
        names: Of the folders.
        order: What the user says: by text or by the numbers in the names; None: nothing.
        where: The folder, for messages.

    Raises:
        UsageError: The order is not told by the names, and not by the user either.
    """
    by_text = tuple(sorted(names))
    parts = [_numbered(name) for name in by_text]
    same = len({part.around for part in parts if part is not None}) == 1 and None not in parts
    numbers = [part.number for part in parts if part is not None] if same else []
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"expected class folders of different numbers in {where}, got {some(by_text)}")
    if order == "text" or not numbers:
        if order == "number":
            raise UsageError(
                f"?order=number: expected class folders with a number each in {where}, got {some(by_text)}"
            )
        return _ordered(by_text, *(("given", "?order=text") if order else _by_text(len(names))), option=_TEXT)
    by_number = tuple(name for _, name in sorted(zip(numbers, by_text, strict=True)))
    if order == "number":
        return _ordered(by_number, "given", "?order=number")
    return _unsaid(by_text, by_number, sorted(numbers), where)


def listed_classes(path: Path, names: Collection[str], where: str) -> ClassOrder:
    """The order in which the text file at `path` names the classes, one a line.

    Raises:
        UsageError: There is no such file, or folders have other names.
        RefusedInputError: The file names a class twice, or is no text.
    """
    content = read_regular(path, "?classes= to be a text file with a class a line", most=MOST_BYTES)
    try:
        lines = [line.strip() for line in read_text(content, str(path)).splitlines()]
    except ValueError as error:
        raise RefusedInputError(str(error)) from error
    listed = tuple(line for line in lines if line)
    if len(set(listed)) < len(listed):
        raise RefusedInputError(f"expected every class once in {path}, got {some(listed)}")
    if unknown := sorted(set(names) - set(listed)):
        raise UsageError(f"expected the class folders of {where} to be listed in {path}, got also {some(unknown)}")
    return ClassOrder(names=listed, reading=_reading(listed, "given", f"{path} lists them", ""))


def numbered_labels(where: str) -> Interpretation:
    """Of data whose labels are numbers: nothing tells that the outputs of a network are numbered alike.

    Args:
        where: What holds the labels.
    """
    reason = "the network's outputs are taken to be numbered alike"
    return _order_reading(f"the numbers in {where}", "assumed", reason, _OUTPUTS)


def class_names(names: Sequence[str], reason: str) -> Interpretation:
    """Whether classes have names, or only numbers; which of them is which output is another question.

    Args:
        names: In the order of their numbers.
        reason: Where they come from.
    """
    if all(name.isdecimal() for name in names):
        value = f"numbers only: {some(names)}"
        return Interpretation(topic="class names", value=value, basis="measured", reason=reason)
    return Interpretation(topic="class names", value=some(names), basis="recorded", reason=reason)


def published_classes(names: Sequence[str]) -> Interpretation:
    """Of a published data set, which says what its classes are, also where they are digits."""
    return Interpretation(topic="class names", value=some(names), basis="recorded", reason="as published")


def some(names: Collection[str]) -> str:
    """The first five names, long ones cut, and how many more there are."""
    return listed([repr(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}...") for name in names]) or "none"


def _unsaid(by_text: tuple[str, ...], by_number: tuple[str, ...], numbers: list[int], where: str) -> ClassOrder:
    whole = all(name.isdecimal() for name in by_text)
    complete = numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[0] in {0, 1}
    if by_text == by_number:
        if whole and complete:
            return _ordered(by_text, "recorded", "the folders are called by their numbers")
        return _ordered(by_text, *_by_text(len(by_text)), option=_EITHER)
    if not whole:
        return _ordered(
            by_text,
            "doubtful",
            "by text, as torchvision's ImageFolder numbers them; by the numbers in their names the order is another",
            option=_EITHER,
        )
    if not complete:
        raise UsageError(
            f"expected class folders from 0 or 1 without a gap in {where}, or an order, got {some(by_number)}: "
            f"add ?order=number, ?order=text (as torchvision's ImageFolder) or ?classes=FILE with a class a line"
        )
    reason = "by the folders' numbers; torchvision's ImageFolder would number them by text"
    return _ordered(by_number, "assumed", reason, option=_EITHER)


def _by_text(count: int) -> tuple[Basis, str]:
    return ("measured", "there is one") if count == 1 else ("assumed", "by text, as torchvision's ImageFolder does")


def _ordered(names: tuple[str, ...], basis: Basis, reason: str, *, option: str = "") -> ClassOrder:
    return ClassOrder(names=names, reading=_reading(names, basis, reason, option))


def _reading(names: Sequence[str], basis: Basis, reason: str, option: str) -> Interpretation:
    return _order_reading(some(names), basis, reason, option)


def _order_reading(value: str, basis: Basis, reason: str, option: str) -> Interpretation:
    return Interpretation(topic=_TOPIC, value=value, basis=basis, reason=reason, option=option)


def _numbered(name: str) -> _Numbered | None:
    match = re.fullmatch(r"(\D*)([0-9]+)(\D*)", name)
    return _Numbered((match[1], match[3]), int(match[2])) if match else None
