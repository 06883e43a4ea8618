"""The boundary to others' code: networks, factories, plug-ins, libraries.

Wherever evalsuite calls code that is not its own, it does so inside `others_code` or `users_code`. What that code
raises becomes one line: what was being done, with which network, what was raised and where, and a way out. What it
prints goes to stderr, and what it changes of the process that would change verdicts is put back: the working folder,
handlers of signals, the standard streams, and how torch computes. An error of evalsuite's own stays what it is.
"""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from copy import copy
from types import MappingProxyType
from typing import Final, final

from typing_extensions import override

from evalsuite.errors import EvalsuiteError, TerminatedError, UsageError
from evalsuite.process.culprit import culprit, is_memory, running, stopped_by, what_it_says

_NONE: Mapping[str, object] = MappingProxyType({})
_DEBUG: Final = "--debug shows the traceback"
_MEMORY: Final = "free some, or compute elsewhere (--device cpu)"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_ACTIVE: Final = threading.local()
_COPY: Final = 70
_end_process: Final = os._exit  # before anybody puts something else in its place


@final
class OthersError(UsageError):
    """Code that is not evalsuite's raised something, or there was no memory left for it; the cause is chained.

    Attributes:
        named: Whether the message tells which network it was; else a boundary further out may know it.
    """

    def __init__(self, message: str, *, named: bool = False) -> None:
        """The whole line."""
        super().__init__(message)
        self.named = named


@final
class OutputError(UsageError):
    """Others' code gave something else than it has to; the boundary around it adds which network, and at what."""


@contextmanager
def others_code(doing: str, *, networks: Mapping[str, object] = _NONE, way_out: str = "") -> Iterator[None]:
    """Run code of which a part is others': what that part raises becomes one line.

    Args:
        doing: What is being done, as a message begins: "clean, examples 0 to 127".
        networks: The networks that are worked on, by their names in results.
        way_out: What a user can do about it.

    Raises:
        OthersError: Others' code raised something, whatever it was, or memory ran out.
        KeyboardInterrupt: Others' code made another error of it.
    """
    with _kept_apart(again=False):
        try:
            yield
        except BaseException as error:
            explained = _explained(error, doing, networks, way_out)
            if explained is error:
                raise
            raise explained from (error.__cause__ if isinstance(error, OthersError) else error)


@contextmanager
def users_code(expected: str) -> Iterator[None]:
    """Run code that is all of it the user's own or a plug-in's: whatever it raises becomes one line.

    Args:
        expected: How the message starts, e.g. "expected mydata:make to return a data set".

    Raises:
        OthersError: Something was raised; the message names its type, what it says and the line of the user's code.
        KeyboardInterrupt: The code made another error of it.
    """
    with _kept_apart(again=True):
        try:
            yield
        except BaseException as error:
            usable = _passed_on(error)
            if usable is None:
                to_blame = None if isinstance(error, SyntaxError) else culprit(error)  # which tells its place itself
                place = f" ({to_blame.place})" if to_blame is not None and to_blame.place else ""
                usable = OthersError(f"{expected}, got {what_it_says(error)}{place}; {_DEBUG}")
            if usable is error:
                raise
            raise usable from error


def described(error: BaseException) -> BaseException:
    """What to say of an error that met no boundary on its way: one line where it was raised by others' code."""
    return _explained(error, "", _NONE, "")


def inside() -> bool:
    """Whether this thread is inside a boundary."""
    return getattr(_ACTIVE, "depth", 0) > 0


def _explained(error: BaseException, doing: str, networks: Mapping[str, object], way_out: str) -> BaseException:
    """What is raised in place of `error`; itself where it is nobody else's."""
    if isinstance(error, OutputError) and (doing or networks):
        return _sentence(error, doing, networks, f"{error}", way_out)
    if isinstance(error, OthersError) and not error.named and networks:
        return OthersError(f"{_which(networks, None)}, {error}", named=True)
    usable = _passed_on(error)
    if usable is not None:
        return usable
    if is_memory(error):
        what = f"expected enough memory, got {what_it_says(error)}"
        return _sentence(error, doing, networks, what, "; ".join(filter(None, (_MEMORY, way_out))))
    to_blame = culprit(error, networks.values())
    if to_blame is None:
        return error
    place = f" ({to_blame.place})" if to_blame.place else ""
    what = f"expected {to_blame.who} to run, got {what_it_says(error)}{place}"
    return _sentence(error, doing, networks, what, way_out)


def _passed_on(error: BaseException) -> BaseException | None:
    """What is no failure: a stop from outside, and what evalsuite itself has to say; None for anything else."""
    stop = stopped_by(error, (TerminatedError,))
    if stop is not None:
        # others' code may make a SystemExit of a Ctrl-C
        return error if stop is error else copy(stop)
    return error if isinstance(error, EvalsuiteError) else None


def _sentence(error: BaseException, doing: str, networks: Mapping[str, object], what: str, way_out: str) -> OthersError:
    where = ", ".join(filter(None, (_which(networks, running(error)), doing)))
    line = f"{where}: {what}" if where else what
    return OthersError("; ".join(filter(None, (line, way_out, _DEBUG))), named=bool(networks))


def _which(networks: Mapping[str, object], ran: object | None) -> str:
    """The name of the network that ran; of a copy the name of what it was made of, if that is one."""
    named = [name for name, network in networks.items() if network is ran] or list(networks)
    return named[0] if len(named) == 1 else f"one of {', '.join(named)}" if named else ""


@contextmanager
def _kept_apart(*, again: bool) -> Iterator[None]:
    """`again`: also inside another boundary, which would put back only at its own end."""
    if inside() and not again:
        yield
        return
    before, process = _state(), os.getpid()
    _ACTIVE.depth = getattr(_ACTIVE, "depth", 0) + 1
    try:
        # stdout belongs to results
        with redirect_stdout(_Lent()):
            yield
    finally:
        if os.getpid() != process:  # a copy of the process that others' code has made, and that would work on the same
            _end_process(_COPY)
        _ACTIVE.depth -= 1
        for (value, put_back), (now, _) in zip(before, _state(), strict=False):
            if now is not value and now != value:
                put_back()


_Kept = tuple[object, Callable[[], object]]


def _state() -> list[_Kept]:
    """What others may change to the harm of everything that follows, and how each is put back; microseconds."""
    err, folder = sys.stderr, _folder()
    return [
        (folder, lambda: None if folder is None else os.chdir(folder)),
        (err, lambda: setattr(sys, "stderr", err)),
        *_of_signals(),
        *_of_torch(),
    ]


def _folder() -> str | None:
    with suppress(OSError):
        return os.getcwd()  # noqa: PTH109 - a path that is compared, ten times as fast
    return None


def _of_signals() -> list[_Kept]:
    if threading.current_thread() is not threading.main_thread():
        return []
    handlers = [(number, signal.getsignal(number)) for number in _SIGNALS]
    return [(handler, _setter(signal.signal, number, handler)) for number, handler in handlers if handler is not None]


def _of_torch() -> list[_Kept]:
    """How torch computes: in which type, where, with gradients or without, with how many threads, how exactly."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "get_default_device"):  # not imported, or in the midst of it
        return []
    kind, gradients, threads = torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()
    device, precision = torch.get_default_device(), torch.get_float32_matmul_precision()
    exact = torch.are_deterministic_algorithms_enabled()
    return [
        (kind, _setter(torch.set_default_dtype, kind)),
        (gradients, _setter(torch.set_grad_enabled, gradients)),
        (threads, _setter(torch.set_num_threads, threads)),
        (device, _setter(torch.set_default_device, None if device.type == "cpu" else device)),
        (precision, _setter(torch.set_float32_matmul_precision, precision)),
        (exact, _setter(torch.use_deterministic_algorithms, exact)),
    ]


def _setter(call: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: call(*arguments)


@final
class _Lent(io.TextIOBase):
    """stderr as others are handed it for stdout: it cannot be closed."""

    @override
    def write(self, text: str, /) -> int:
        return len(text) if sys.stderr is None else sys.stderr.write(text)

    @override
    def flush(self) -> None:
        if sys.stderr is not None:
            sys.stderr.flush()

    @override
    def writable(self) -> bool:
        return True

    @override
    def isatty(self) -> bool:
        return sys.stderr is not None and sys.stderr.isatty()

    @override
    def close(self) -> None:
        """Nothing."""
