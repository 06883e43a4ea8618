"""Lists the names that a pickle would import, without running it, and gives stand-ins for those without weights."""

import io
import pickletools
import re
from collections.abc import Iterable, Iterator
from typing import Final, Self, final

import torch

_HARMLESS: Final = frozenset({"collections.OrderedDict", "_codecs.encode", "builtins.set", "builtins.bytearray"})
# what training scripts keep beside weights: numbers of numpy, options, paths, dates
_RECORDS: Final = re.compile(
    r"numpy(\._?core)?(\.multiarray\.(scalar|_reconstruct)|\.numeric\._frombuffer|\.ndarray|\.dtype)"
    r"|numpy\.dtypes\.\w+|numpy\.random\._pickle\.\w+"
    r"|pathlib(\._local)?\.\w+|datetime\.\w+|decimal\.Decimal|fractions\.Fraction|uuid\.UUID"
    r"|argparse\.Namespace|types\.SimpleNamespace|typing\.\w+|copyreg\._reconstructor"
    r"|builtins\.(bool|bytes|getattr|dict|float|frozenset|int|list|object|range|slice|str|tuple)"
    r"|torch\.torch_version\.TorchVersion"
    r"|(omegaconf|yacs|ml_collections|fvcore|mmengine|pytorch_lightning|lightning|lightning_fabric)\.[\w.]+"
)
_DICTIONARIES: Final = re.compile(
    r"collections\.defaultdict|easydict\.EasyDict|addict(\.addict)?\.Dict|(\w+\.)+AttributeDict|(\w+\.)+ConfigDict"
)
_LISTS: Final = re.compile(r"collections\.deque")
LONGEST_GLOBAL: Final = 1000
"""Characters of a name; no module has such."""
_PUT: Final = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GET: Final = frozenset({"GET", "BINGET", "LONG_BINGET"})


def imported_names(stream: bytes) -> tuple[str, ...]:
    """Dotted names in the order in which they are met, each once; a stream that ends early gives what came before.

    Names that no module has are cut.

    Old torch files are several pickles one behind the other, then raw numbers: reading stops where it makes no sense.
    """
    names: dict[str, None] = {}
    source = io.BytesIO(stream)
    while True:
        try:
            for name in _globals(source):
                names[name[:LONGEST_GLOBAL]] = None
        except Exception:  # noqa: BLE001  (untrusted bytes; torch's own reader decides whether the file is whole)
            return tuple(names)


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


@final
class _Record:
    """Stands in for an object beside the weights: keeps nothing and runs nothing, whatever it is built from."""

    def __new__(cls, *_: object) -> Self:
        """Takes any arguments."""
        return object.__new__(cls)

    def __setstate__(self, _: object) -> None:
        """Takes any state."""


@final
class _Dictionary:
    """Stands in for any kind of dictionary, and keeps what is put into it."""

    def __new__(cls, *_: object) -> dict[object, object]:  # type: ignore[misc]  # what unpickling is to go on with
        """An empty dictionary, whatever the arguments."""
        return {}


@final
class _List:
    """Stands in for any kind of list."""

    def __new__(cls, *_: object) -> list[object]:  # type: ignore[misc]  # as above
        """An empty list, whatever the arguments."""
        return []


def stand_ins(names: Iterable[str]) -> list[tuple[type, str]]:
    """For torch's restricted unpickler: inert classes in the place of those that only keep records beside weights.

    The classes themselves are neither imported nor called, so that a file can do nothing with them.
    """
    kinds = ((_RECORDS, _Record), (_DICTIONARIES, _Dictionary), (_LISTS, _List))
    current = [name.replace("__builtin__.", "builtins.").replace("copy_reg.", "copyreg.") for name in names]
    return [(kind, name) for name in current for pattern, kind in kinds if pattern.fullmatch(name)]


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
