"""Tells whose code raised an error, a user's, a library's or evalsuite's own, by the traceback.

Nothing is measured or wrapped while all goes well: who is to blame is asked only once something was raised. The
innermost frame decides that belongs to somebody; frames of Python and of the libraries that evalsuite itself computes
with belong to whoever called them. Where evalsuite hands over to a network that consists of torch's layers alone there
is no such frame: the place of the call decides.
"""

import dis
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Final, Literal, final

_OURS: Final = frozenset({"evalsuite", "pruners", "neuralnets"})
_COMPUTED_WITH: Final = frozenset(
    {
        *("torch", "functorch", "numpy", "scipy", "sklearn", "joblib", "threadpoolctl", "PIL", "cv2", "matplotlib"),
        *("jinja2", "click", "rich", "pydantic", "pydantic_core", "safetensors", "typing_extensions"),
    }
)
"""Libraries that evalsuite calls with values of its own: what they raise is the fault of their caller."""
_STANDARD_LIBRARY: Final = sysconfig.get_paths()["stdlib"]
_PACKAGES: Final = ("site-packages", "dist-packages")
_NETWORK: Final = ("evalsuite.networks.normalized", "forward")
_HANDS_OVER: Final = MappingProxyType(
    {
        _NETWORK: "the network",
        ("evalsuite.networks.programs._program", "run"): "the network",
        ("evalsuite.networks.programs._steps", "run"): "the network",
        ("evalsuite.networks.programs._onnx", "forward"): "the network",
    }
)
"""Functions of evalsuite that do nothing but call a network or a step of it, by module and name."""
_IN_PLACE_OF: Final = frozenset({("evalsuite.cli._exits", "refuse")})
"""Functions of evalsuite that stand in the place of Python's own, such as `os._exit`: their caller is to blame."""
_BACKWARD: Final = frozenset({"torch.autograd", "torch.autograd.graph", "torch._tensor"})
_NO_MEMORY: Final = ("you tried to allocate", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory")
"""What torch says in a plain RuntimeError where it gets no memory."""
_LONGEST: Final = 300

_Owner = Literal["own", "others", "nobody"]


@final
@dataclass(frozen=True, kw_only=True)
class Culprit:
    """Who raised an error.

    Attributes:
        who: In a few words: "the network", "your code", "timm".
        place: The innermost line of theirs, "mynet.py, line 12, in forward"; empty where there is none.
    """

    who: str
    place: str


def culprit(error: BaseException, networks: Iterable[object] = ()) -> Culprit | None:
    """Whose code raised `error`; None where it was evalsuite's own.

    Args:
        error: As it was caught.
        networks: That were worked on: where a backward pass fails, its network is to blame unless it is built in.
    """
    stack = list(traceback.walk_tb(error.__traceback__))
    owners = [_owner(frame) for frame, _ in stack]
    last = max((place for place, owner in enumerate(owners) if owner == "own"), default=-1)
    theirs = [each for each, owner in zip(stack[last + 1 :], owners[last + 1 :], strict=True) if owner == "others"]
    door = None if last < 0 else _HANDS_OVER.get(_named(stack[last][0]))
    if theirs:
        # a user's line says more than that of a library which it calls
        frame, line = next((each for each in reversed(theirs) if not _is_package(each[0])), theirs[-1])
        return Culprit(who=door or _title(frame), place=_place(frame, line))
    inside = stack[last + 1 :]
    if last < 0 or not inside:
        return None
    if door is not None:
        return Culprit(who=door, place="")
    backward = any(_module(each) in _BACKWARD for each, _ in inside)
    if backward and any(not built_in(each) for each in networks):
        return Culprit(who="the network's backward pass", place="")
    return None


def running(error: BaseException) -> object | None:
    """The network, as it is judged, that was running when `error` was raised; None where none was."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if _named(frame) == _NETWORK]
    return frames[-1].f_locals.get("self") if frames else None


def built_in(network: object) -> bool:
    """Whether a network, as it is judged, is one of evalsuite's own architectures."""
    inner = getattr(network, "network", network)
    kind = type(inner).__module__
    return kind.partition(".")[0] in _OURS and not kind.startswith("evalsuite.networks.programs.program")


def is_own(part: object) -> bool:
    """Whether a part stands in evalsuite itself; others come from plug-ins and from users' own Python."""
    return type(part).__module__.partition(".")[0] in _OURS


def stopped_by(error: BaseException, stops: tuple[type[BaseException], ...]) -> BaseException | None:
    """The Ctrl-C or the signal that led to `error`, also where others' code made another error of it.

    A KeyboardInterrupt that code raises itself is none: it comes from a `raise`, where a signal comes in between.

    Args:
        error: As it was caught.
        stops: What handlers of signals raise beside KeyboardInterrupt.
    """
    for each in _chain(error):
        if isinstance(each, stops) or (isinstance(each, KeyboardInterrupt) and not _by_hand(each)):
            return each
    return None


def what_it_says(error: BaseException) -> str:
    """The type of `error` and the first line of what it says: printable, and not too long."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001 - an error of others may fail at telling what it is
        lines = ["(what it says cannot be read)"]
    text = " ".join(lines[0].split()) if lines else ""
    text = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_memory(error: BaseException) -> bool:
    """Whether there was not enough memory, of the machine or of its accelerator."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(each in what_it_says(error) for each in _NO_MEMORY)


def _owner(frame: FrameType) -> _Owner:
    top = _module(frame).partition(".")[0]
    if top in _OURS:
        return "nobody" if _named(frame) in _IN_PLACE_OF else "own"
    file = frame.f_code.co_filename
    # code without a file is typed by hand, or made by Python and torch for a class or a graph
    made = file.startswith("<") and top != "__main__"
    of_python = file.startswith(_STANDARD_LIBRARY) and not _is_package(frame)
    return "nobody" if not top or top in _COMPUTED_WITH or made or of_python else "others"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _named(frame: FrameType) -> tuple[str, str]:
    return _module(frame), frame.f_code.co_name


def _is_package(frame: FrameType) -> bool:
    return any(each in Path(frame.f_code.co_filename).parts for each in _PACKAGES)


def _place(frame: FrameType, line: int) -> str:
    function = frame.f_code.co_name
    return f"{Path(frame.f_code.co_filename).name}, line {line}" + (f", in {function}" if function[0] != "<" else "")


def _title(frame: FrameType) -> str:
    return _module(frame).partition(".")[0] if _is_package(frame) else "your code"


def _by_hand(error: BaseException) -> bool:
    """Whether others' code has raised `error` itself: the last that it did was to `raise`."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_lasti < 0 or _owner(trace.tb_frame) == "own":
        return False
    return dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"


def _chain(error: BaseException) -> Iterator[BaseException]:
    met: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in met:
        met.add(id(each))
        yield each
        each = each.__cause__ or each.__context__
