"""Matches outputs of the network with classes of the data.

Classes are numbered by whoever made the data and by whoever trained the network. Where both have names, the names
decide, also names that are numbers; where one of them has other names or only counts its classes, the order cannot be
known and is assumed to be the same, and said.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from evalsuite.data import Dataset, Examples
from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.files.given_paths import expanded, is_file
from evalsuite.files.regular_files import read_regular
from evalsuite.interpretation import Basis, Interpretation
from evalsuite.problems import Classification
from evalsuite.wording import listed

TOPIC: Final = "class order"
_NAMES: Final = "class names"
_MOST_BYTES: Final = 2**26
_MOST_NAMES: Final = 1_000_000
_LONGEST: Final = 1000
"""Characters of a name in a file."""
OPTION: Final = "--classes data (the order of the data), NAME,NAME,... or FILE: the order of the network's outputs"
AS_DATA: Final = "data"


def names_given(text: str | None) -> tuple[str, ...] | None:
    """Names of the network's outputs, in order, as the user gives them; None where they give none or say "data".

    Args:
        text: "data", names with commas in between, or a file: text with one name a line, or JSON - a list, or an object
            from names to numbers (`class_to_idx`) or from numbers to names (`id2label`).

    Raises:
        UsageError: There are fewer than two names, or doubles.
        RefusedInputError: The file cannot be read.
    """
    if text is None or text == AS_DATA:
        return None
    path = expanded(text)
    names = _from_file(path) if is_file(path) else tuple(part.strip() for part in text.split(","))
    if len(names) < 2 or len(set(names)) < len(names) or not all(names):
        raise UsageError(f"--classes: expected at least two different names, or a file that holds them, got {text!r}")
    return names


def in_network_order(dataset: Dataset, recorded: Sequence[str] | None, rule: str | None) -> Dataset:
    """The data with its classes numbered as the network's outputs are, and with a reading that says so.

    Args:
        dataset: As it was read.
        recorded: Names of the network's outputs that its file records, or None.
        rule: What the user says, see `names_given`.

    Raises:
        UsageError: Names of the data have no counterpart among those of the network, or the order of problems other
            than classification would have to be changed.
    """
    given = names_given(rule)
    names = given if given is not None else recorded
    if rule == AS_DATA:
        return _with(dataset, _reading("in the order of the data", "given", "--classes data"))
    if names is None:
        return dataset  # what its source says of the order stands
    basis: Basis = "recorded" if given is None else "given"
    if tuple(names) == dataset.classes:
        return _with(dataset, _reading(f"the same {len(names)} names in the network and in the data", basis))
    if given is None and (_are_numbers(names) or _are_numbers(dataset.classes)):
        return _by_numbers(dataset, names)
    return _renumbered(dataset, names, "measured")


def _by_numbers(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """As `in_network_order`, where one side or both have numbers for names."""
    if dataset.counted or set(names) != set(dataset.classes):
        # such cannot be matched: another number of them is refused where network and data are held together
        reason = "the data has no names" if dataset.counted else "one of them has numbers for names"
        return _with(dataset, _reading("the same in the network and in the data", "assumed", reason))
    # a network that was trained on data without names records the numbers 0, 1, 2, ... as if they were its names
    basis: Basis = "assumed" if list(names) == [str(number) for number in range(len(names))] else "measured"
    return _renumbered(dataset, names, basis)


def _renumbered(dataset: Dataset, names: Sequence[str], basis: Basis) -> Dataset:
    if not isinstance(dataset.problem, Classification):
        raise UsageError(
            f"expected outputs in the order of {dataset.name} ({_some(dataset.classes)}), got {_some(names)}"
        )
    places = {_plain(name): number for number, name in enumerate(names)}
    strangers = [name for name in dataset.classes if _plain(name) not in places]
    if strangers or len(places) < len(names):
        raise UsageError(
            f"expected the classes of {dataset.name} among the network's ({_some(names)}), got also "
            f"{_some(strangers)}; rename them in the data, or say what the outputs stand for: {OPTION}"
        )
    order = torch.tensor([places[_plain(name)] for name in dataset.classes])
    empty = [name for number, name in enumerate(names) if number not in order.tolist()]
    value = "names of the data matched with the network's, and renumbered"
    value += f"; no examples of {_some(empty)}" if empty else ""
    reason = "the network's may be mere numbers" if basis == "assumed" else ""
    return replace(
        _with(dataset, _reading(value, basis, reason)),
        classes=tuple(names),
        train=None if dataset.train is None else _relabelled(dataset.train, order),
        test=_relabelled(dataset.test, order),
    )


def _relabelled(examples: Examples, order: Tensor) -> Examples:
    accepted = None if examples.accepted is None else order[examples.accepted]
    return replace(examples, labels=order[examples.labels], accepted=accepted)


def _with(dataset: Dataset, reading: Interpretation) -> Dataset:
    """`dataset` with another reading of the order; whoever vouches for the order vouches for the names too."""
    settled = [each for each in dataset.interpretations if each.topic == _NAMES and reading.confirmed]
    others = [
        each for each in dataset.interpretations if each.topic != TOPIC and (each.confirmed or each not in settled)
    ]
    return replace(dataset, interpretations=(*others, reading))


def _reading(value: str, basis: Basis, reason: str = "") -> Interpretation:
    option = OPTION if basis == "assumed" else ""
    return Interpretation(topic=TOPIC, value=value, basis=basis, reason=reason, option=option)


def _plain(name: str) -> str:
    """Spelled so that `T-shirt / Top` and `t_shirt/top` are one name."""
    return "".join(letter for letter in name.casefold() if letter.isalnum()) or name


def _are_numbers(names: Sequence[str]) -> bool:
    return all(name.strip().isdecimal() for name in names)


def _from_file(path: Path) -> tuple[str, ...]:
    content = read_regular(path, "--classes to be a text file", most=_MOST_BYTES)
    try:
        text = content.decode("utf-8-sig").strip()
        names = _from_json(text) if text[:1] in {"[", "{"} else tuple(line.strip() for line in text.splitlines())
        _check_names(names)
    except (ValueError, TypeError, RecursionError) as error:
        raise RefusedInputError(
            f"--classes: expected {path} to hold names, one a line or as JSON (a list, name to number, or number to "
            f"name), got an error: {error}"
        ) from error
    return names


def _check_names(names: Sequence[str]) -> None:
    if len(names) > _MOST_NAMES:
        raise ValueError(f"expected at most {_MOST_NAMES} names, got {len(names)}")
    longest = max(names, key=len, default="")
    if len(longest) > _LONGEST:
        raise ValueError(
            f"expected names of at most {_LONGEST} characters, got {longest[:40]!r}... with {len(longest)}"
        )


def _from_json(text: str) -> tuple[str, ...]:
    parsed = json.loads(text)
    if isinstance(parsed, list):
        return tuple(str(name) for name in parsed)
    to_numbers = all(isinstance(value, int) and not isinstance(value, bool) for value in parsed.values())
    numbered = {int(number): str(name) for name, number in parsed.items()} if to_numbers else {
        int(number): str(name) for number, name in parsed.items()
    }  # fmt: skip
    if sorted(numbered) != list(range(len(parsed))):
        raise ValueError(f"expected the numbers 0 to {len(parsed) - 1}, each once, got {sorted(numbered)[:5]}")
    return tuple(numbered[number] for number in range(len(numbered)))


def _some(names: Sequence[str]) -> str:
    return listed([repr(name) for name in names]) or "none"
