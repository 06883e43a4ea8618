"""Text from anywhere, as it may be shown: terminals, browsers and XML act on nothing in it, and it is not too long."""

import unicodedata
from typing import Final

_MOST: Final = 2000
_SPACES: Final = "Zs"


def printable(text: str) -> str:
    r"""`text` with what does not draw itself spelled as Python spells it: `\x1b`, `\n`, `\u202e`.

    That is control characters, line breaks, marks that turn the direction of writing, and halves of characters.
    """
    if text.isprintable():
        return text
    return "".join(map(_spelled, text))


def one_line(text: str, most: int = _MOST) -> str:
    """`printable`, and of more than `most` characters the first and the last, with their number in between."""
    # cut before, since a name may have millions of characters, and after, since an escape has up to ten
    return _cut(printable(_cut(text, most)), most)


def _spelled(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == _SPACES:
        return character
    return character.encode("unicode_escape").decode()


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    mark = f" ... {len(text) - most:,} more characters ... "
    side = max(1, (most - len(mark)) // 2)
    return f"{text[:side]}{mark}{text[-side:]}"
