"""Leaves out of results where files lie on the user's machine, and under whose name."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

LEFT_OUT: Final = "..."
"""In place of the folders that a file lies in."""

# a path from the root, of two pieces at least or of a file with an ending; a folder's name may have spaces within, and
# ends no later than a quote
_PATH: Final = re.compile(
    r"""(?:(?<=file://)|(?<![\w./~-]))      # not within a name, a fraction or an address
    /(?!/)
    (?:(?:(?:[^/\s'"`:;?&=|<>*,]|,(?!\s))+     # a word
          (?:[ ](?:[^/\s'"`:;?&=|<>*,]|,(?!\s))+)*/+)+
       [^/\s'"`:;?&=|<>*,]*
    |  [^/\s'"`:;?&=|<>*,]+\.\w+(?![\w/]))  # a file in the root""",
    re.VERBOSE,
)


def without_folders(document: object) -> object:
    """A copy of `document` (objects, lists and values as of JSON) in which every path from the root is cut short.

    `/home/me/data/photos` becomes `.../photos`; of paths that end alike as many folders stay as tell them apart.
    """
    short = _shortened({path for text in _texts(document) for path in _PATH.findall(text)})
    return _replaced(document, short) if short else document


def without_folders_in(text: str) -> str:
    """`text` alone, likewise."""
    return str(without_folders(text))


def portable(name: str, folder: str) -> str:
    """`name` with paths in `folder` as they are seen from there, and of others nothing but how they end."""
    return without_folders_in(re.sub(rf"(?<![\w./~-]){re.escape(folder.rstrip('/'))}/", "", name))


def _shortened(paths: Iterable[str]) -> dict[str, str]:
    pieces = {path: [piece for piece in path.split("/") if piece] for path in paths}
    return {path: "/".join((LEFT_OUT, *_distinct(parts, pieces.values()))) for path, parts in pieces.items()}


def _distinct(pieces: Sequence[str], others: Iterable[Sequence[str]]) -> Sequence[str]:
    """The last pieces of a path that no other path ends with; all but the first at most."""
    rivals = [other for other in others if other != pieces]
    for k in range(1, len(pieces)):
        if all(list(rival[-k:]) != list(pieces[-k:]) for rival in rivals):
            return pieces[-k:]
    return pieces[1:] or pieces


def _texts(value: object) -> Iterable[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for key, each in value.items():
                yield from _texts(key)
                yield from _texts(each)
        case list() | tuple():
            for each in value:
                yield from _texts(each)
        case _:
            return


def _replaced(value: object, short: Mapping[str, str]) -> object:
    match value:
        case str():
            return _PATH.sub(lambda match: short[match.group()], value)
        case Mapping():
            return {_replaced(key, short): _replaced(each, short) for key, each in value.items()}
        case list() | tuple():
            return [_replaced(each, short) for each in value]
        case _:
            return value
