"""Mutations of pickles by their opcodes."""

import io
import pickletools
from random import Random

_MORE = (
    *(b"N", b"(", b")", b"}", b"]", b"t", b"l", b"d", b"0", b"1", b"2", b"R", b"b", b"a", b"s", b"e", b"u", b"Q", b"."),
    *(b"\x81", b"\x85", b"\x86", b"\x87", b"\x94", b"\x93", b"\x92", b"\x8f", b"\x91", b"\x90", b"q\x00", b"h\x00"),
    *(
        b"h\xff",
        b"j\xff\xff\xff\x7f",
        b"K\x00",
        b"J\xff\xff\xff\xff",
        b"\x8a\x09" + b"\xff" * 9,
        b"G" + b"\x7f\xf8" + b"\0" * 6,
    ),
    *(b"\x8c\x01a", b"X\xff\xff\xff\x7f", b"B\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\x7f", b"C\x01a", b"\x80\x09"),
    *(
        b"cos\nsystem\n",
        b"cbuiltins\neval\n",
        b"ctorch\nload\n",
        b"ccollections\nOrderedDict\n",
        b"cbuiltins\ngetattr\n",
    ),
    *(b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"cnumpy\nndarray\n", b"ca\x1b[2J\nb\x07\n"),
    *(b"cargparse\nNamespace\n", b"cbuiltins\nbytearray\n", b"I99999999999999999999\n", b"Fnan\n", b"(" * 1000),
)


def opcodes(random: Random, data: bytes) -> bytes:
    """One to three opcodes are left out, doubled, exchanged, replaced, or come in between."""
    try:
        starts = [position for _, _, position in pickletools.genops(io.BytesIO(data)) if position is not None]
    except Exception:  # noqa: BLE001 - a pickle that was mutated before
        return data
    if not starts:
        return data
    end = starts[-1] + 1
    pieces = [data[start:stop] for start, stop in zip(starts, [*starts[1:], end], strict=True)]
    for _ in range(random.randint(1, 3)):
        _one(random, pieces)
    return b"".join(pieces) + data[end:]


def _one(random: Random, pieces: list[bytes]) -> None:
    at, other = random.randrange(len(pieces)), random.randrange(len(pieces))
    match random.randrange(6):
        case 0 if len(pieces) > 1:
            del pieces[at]
        case 1:
            pieces.insert(other, pieces[at])
        case 2:
            pieces[at], pieces[other] = pieces[other], pieces[at]
        case 3:
            pieces[at] = pieces[other]
        case 4:
            pieces[at] = random.choice(_MORE)
        case _:
            pieces.insert(at, random.choice(_MORE))
