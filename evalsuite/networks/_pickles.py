"""Which names a pickle would import, found without running it."""

import io
import pickletools
from collections.abc import Iterator
from typing import Final

import torch

_HARMLESS: Final = frozenset({"collections.OrderedDict", "_codecs.encode", "builtins.set", "builtins.bytearray"})
_PUT: Final = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GET: Final = frozenset({"GET", "BINGET", "LONG_BINGET"})


def globals_of(stream: bytes) -> tuple[str, ...]:
    """Dotted names in the order in which they are met, each once; a stream that ends early gives what came before.

    Old torch files are several pickles one behind the other, then raw numbers: reading stops where it makes no sense.
    """
    found: dict[str, None] = {}
    source = io.BytesIO(stream)
    while True:
        try:
            for name in _globals(source):
                found[name] = None
        except Exception:  # noqa: BLE001  (untrusted bytes; torch's own reader decides whether the file is whole)
            return tuple(found)


def harmless(name: str) -> bool:
    """Whether torch's restricted unpickler knows the name as part of a tensor."""
    module, _, last = name.rpartition(".")
    if module in {"torch", "torch.storage"}:
        return (
            last.endswith("Storage")
            or last in {"Size", "device"}
            or isinstance(getattr(torch, last, None), torch.dtype)
        )
    return name in _HARMLESS or module in {"torch._utils", "torch._tensor"} or name == "torch.nn.parameter.Parameter"


def _globals(source: io.BytesIO) -> Iterator[str]:
    words: list[str] = []
    memo: dict[int, str] = {}
    memoised = 0
    for opcode, argument, _ in pickletools.genops(source):
        if opcode.name in {"GLOBAL", "INST"}:
            yield str(argument).replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL":
            yield ".".join(words[-2:])
        elif "UNICODE" in opcode.name or "STRING" in opcode.name:
            words.append(str(argument))
        elif opcode.name in _GET and isinstance(argument, int):
            words.append(memo.get(argument, "?"))
        if opcode.name == "MEMOIZE":
            memo[memoised] = words[-1] if words else "?"
            memoised += 1
        elif opcode.name in _PUT and isinstance(argument, int):
            memo[argument] = words[-1] if words else "?"
