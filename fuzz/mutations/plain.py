"""Mutations of bytes, and of text that has tokens."""

import re
from random import Random
from typing import Final

from fuzz.mutations import Mutation

_NUMBERS: Final = (
    0,
    1,
    -1,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    -(2**63),
)
_DEEP: Final = 100_000

TOKENS: Final = (
    *("0", "-1", "1", "00", "-0", "0.5", "1e400", "1e-400", "-1e308", "nan", "inf", "-inf", "1_000", "0x10", "1e9"),
    *("9" * 25, "9" * 5000, str(2**63), str(2**70), "²", "٣", "１", "½", "1/0", "1/3", "8/255", "1:2:3", "0:1:1e-9"),
    *(
        "true",
        "True",
        "none",
        "null",
        "None",
        "all",
        "*",
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        "'",
        '"',
        '"""',
        "\\",
        "/",
        "//",
    ),
    *("..", "../..", "~", "~nobody", "~/x", ".", "", " ", "\t", "\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028"),
    *("\0", "\x07", "\x1b[2J", "\x1b]0;title\x07", "\x7f", "\x9b31m", "\u202e", "\ufeff", "\u200b", "\ud800", "\udcff"),
    *(
        "?",
        "&",
        "=",
        ":",
        ",",
        ";",
        "@",
        "%",
        "%s",
        "{}",
        "{0}",
        "$",
        "#",
        "`",
        "|",
        "<",
        ">",
        "-",
        "--",
        "+",
        "é",
        "𝕏",
    ),
    *(
        "?a=b",
        "?size=0",
        "&x",
        "=1",
        "import os",
        "os:abort",
        "__import__",
        "x" * 5000,
        "a/b/c/d/e",
        "1-5",
        "1-²",
        "9-1",
    ),
)
"""What readers of words stumble over: odd numbers, brackets, control sequences, look-alikes of digits, long words."""


def flip(random: Random, data: bytes) -> bytes:
    """One to eight bits."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 8) if changed else 0):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def replace(random: Random, data: bytes) -> bytes:
    """A few bytes by others."""
    start, width = _place(random, data), random.randint(1, 8)
    return data[:start] + random.randbytes(width) + data[start + width :]


def number(random: Random, data: bytes) -> bytes:
    """A whole number of one to eight bytes, in either order, in place of what is there."""
    start, width = _place(random, data), random.choice((1, 2, 4, 8))
    value = random.choice(_NUMBERS) % (1 << 8 * width)
    return data[:start] + value.to_bytes(width, random.choice(("little", "big"))) + data[start + width :]


def cut(random: Random, data: bytes) -> bytes:
    """The end, or a stretch in the middle, is lost."""
    start = _place(random, data)
    return data[:start] if random.random() < 0.5 else data[:start] + data[start + random.randint(1, 64) :]


def repeat(random: Random, data: bytes) -> bytes:
    """A stretch comes several times."""
    start = _place(random, data)
    piece = data[start : start + random.randint(1, 64)]
    return data[:start] + piece * random.choice((2, 3, 100)) + data[start:]


def insert(random: Random, data: bytes) -> bytes:
    """A few bytes come in between."""
    start = _place(random, data)
    return data[:start] + random.randbytes(random.randint(1, 16)) + data[start:]


def append(random: Random, data: bytes) -> bytes:
    """Something stands behind the end, the input itself among others."""
    return data + random.choice((b"\0" * random.randint(1, 64), random.randbytes(16), data))


def blank(random: Random, data: bytes) -> bytes:
    """A stretch of zeros or ones."""
    start, width = _place(random, data), random.randint(1, 64)
    return data[:start] + random.choice((b"\0", b"\xff")) * width + data[start + width :]


def tokens(random: Random, data: bytes) -> bytes:
    """Text: a word or a mark is left out, doubled, exchanged with another, or replaced by one that is hard to read."""
    words = re.findall(r"\w+|\s+|[^\w\s]", data.decode("utf-8", "surrogateescape"))
    if not words:
        return token_alone(random, data)
    at, other = random.randrange(len(words)), random.randrange(len(words))
    match random.randrange(6):
        case 0:
            words[at] = random.choice(TOKENS)
        case 1:
            words.insert(at, random.choice(TOKENS))
        case 2:
            del words[at]
        case 3:
            words[at], words[other] = words[other], words[at]
        case 4:
            words[at] = words[at] * random.choice((2, 3, 1000))
        case _:
            words[at:at] = words[min(at, other) : max(at, other)]
    return encoded("".join(words))


def token_alone(random: Random, data: bytes) -> bytes:
    """Text: nothing but a few words that are hard to read."""
    del data
    return encoded("".join(random.choices(TOKENS, k=random.randint(1, 4))))


def deep(random: Random, data: bytes) -> bytes:
    """Text: brackets in brackets, closed or not, at some place."""
    opening, closing = random.choice((("[", "]"), ('{"a":', "}"), ("(", ")"), ("[[", "]]")))
    times = random.choice((10, 1000, _DEEP))
    middle = random.choice(("", "1"))
    nested = opening * times + middle + closing * random.choice((0, times))
    start = random.choice((0, _place(random, data)))
    return data[:start] + nested.encode() + data[start:]


def encoded(text: str) -> bytes:
    """UTF-8; bytes that were none come back as they were, and halves of pairs as some software writes them."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def another_encoding(random: Random, data: bytes) -> bytes:
    """Text: the same in UTF-16, UTF-32, Latin-1, with a byte-order mark."""
    text = data.decode("utf-8", "replace")
    return text.encode(random.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1")), "replace")


BYTES: Final[tuple[Mutation, ...]] = (flip, replace, number, cut, repeat, insert, append, blank)
TEXT: Final[tuple[Mutation, ...]] = (tokens, tokens, tokens, token_alone, deep, another_encoding)


def _place(random: Random, data: bytes) -> int:
    return random.randrange(len(data)) if data else 0
