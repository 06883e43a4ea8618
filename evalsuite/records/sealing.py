"""Digests by which results are recognised: of what they were made from, of what was asked, and of themselves.

A digest shows that a file is the one that was written: it notices what was edited, cut short or exchanged. It is no
signature: who can write to a run folder can write its digests too, and observations that no network ever made. A gate
that holds against such people runs where they cannot write, or makes the run again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn, final

from evalsuite.errors import RefusedInputError

DIGESTS: Final = "digests"
"""Key of results under which their digests stand."""
ITSELF: Final = "results"
"""Under `DIGESTS`: SHA-256 of the canonical JSON of all the rest."""
MOST: Final = 64 * 2**20
"""Bytes of results that are read where nothing tells how long they should be; 1560 cells take 0.8 million."""


@final
@dataclass(frozen=True, kw_only=True)
class Backing:
    """What stands behind results beside themselves.

    Attributes:
        store: Whether they were made from the run's store, which is here.
        files: SHA-256 of the networks' files that lie in the run folder, by their path in it.
    """

    store: bool
    files: Mapping[str, str] = field(default_factory=dict)


NOTHING: Final = Backing(store=False)
"""Results alone."""


def canonical(value: object) -> bytes:
    """JSON of one spelling: keys in order, no spaces, ASCII, numbers as `repr` has them.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def sha256(value: object) -> str:
    """Of the canonical JSON of `value`, 64 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Of the bytes of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(results: Mapping[str, object], *, store: str, request: str) -> dict[str, object]:
    """`results` with their digests, which stand in the place of any that they have.

    Args:
        results: What `results.json` says.
        store: Digest of the evidence that they were made from.
        request: Digest of what was asked.
    """
    bare = {**results, DIGESTS: {"store": store, "request": request}}
    return {**bare, DIGESTS: {"store": store, "request": request, ITSELF: sha256(bare)}}


def seal(results: Mapping[str, object]) -> Mapping[str, object] | None:
    """The digests of results that are what their own digest says; None where they are not, or have none."""
    digests = results.get(DIGESTS)
    if not isinstance(digests, Mapping):
        return None
    bare = {**results, DIGESTS: {key: value for key, value in digests.items() if key != ITSELF}}
    return digests if digests.get(ITSELF) == sha256(bare) else None


def read_document(path: Path, *, most: int = MOST) -> dict[str, object]:
    """A JSON object in UTF-8 that can be read in one way only; a byte-order mark is skipped.

    Args:
        path: The file.
        most: Bytes that are read at all.

    Raises:
        RefusedInputError: It is longer, no JSON object, or one with a key twice, NaN, infinity, or too deep.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise RefusedInputError(f"{path}: expected results of at most {most} bytes, got more")
    try:
        document = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_no_number)
        canonical(document)  # numbers too large for a float, and nesting too deep to be written
    except RecursionError:
        raise RefusedInputError(f"{path}: expected evalsuite's results, got JSON that is nested too deep") from None
    except ValueError as error:  # of decoding too
        raise RefusedInputError(
            f"{path}: expected evalsuite's results, got a file that is not JSON ({str(error)[:200]})"
        ) from error
    if not isinstance(document, dict):
        raise RefusedInputError(f"{path}: expected evalsuite's results, got JSON that is no object")
    return document


def first_difference(first: object, second: object, place: str = "") -> str | None:
    """Where two JSON documents first differ, with both values; None where they are the same but for rounding.

    Numbers that are not whole may differ by what another processor's rounding explains.
    """
    where = place or "the whole"
    if isinstance(first, float) and isinstance(second, float):
        same = abs(first - second) <= _ROUNDING * max(1.0, abs(first), abs(second))
        return None if same else f"{where} is {first!r} instead of {second!r}"
    if type(first) is not type(second):
        return f"{where} is {_short(first)} instead of {_short(second)}"
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return _first_in(first, second, place)
    if isinstance(first, Sequence) and isinstance(second, Sequence) and not isinstance(first, str):
        return _first_in(_numbered(first), _numbered(second), place)
    return None if first == second else f"{where} is {_short(first)} instead of {_short(second)}"


_ROUNDING: Final = 1e-9


def _first_in(first: Mapping[str, object], second: Mapping[str, object], place: str) -> str | None:
    for key in [*second, *(each for each in first if each not in second)]:
        where = f"{place}.{key}" if place else key
        if key not in first or key not in second:
            return f"{where} is {'missing' if key in second else 'there beyond what is to be'}"
        if (difference := first_difference(first[key], second[key], where)) is not None:
            return difference
    return None


def _numbered(rows: Sequence[object]) -> dict[str, object]:
    return {str(number): row for number, row in enumerate(rows)}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {_short(next(name for name in names if names.count(name) > 1))} stands there twice")
    return members


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
