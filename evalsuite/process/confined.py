"""Runs a reader of an untrusted file in a child process with limits on memory, time and descriptors.

A parser may be made to take all memory, to run for ever or to crash; what happens to the child is one line here. The
child is a fork: it starts within milliseconds and sees what this process has read, without a copy. It hands back plain
values (`evalsuite.process.plain_values`), which are checked and never unpickled.

The limits confine resources, not rights: a child that a hostile file has taken over still has the user's rights.
"""

import ctypes
import errno
import faulthandler
import fcntl
import gc
import itertools
import mmap
import os
import resource
import selectors
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, final

from evalsuite.errors import EvalsuiteError, RefusedInputError, UsageError
from evalsuite.process.plain_values import Plain, decode, encode

MEMORY: Final = "EVALSUITE_READING_MEMORY"
"""Environment variable: bytes that reading one file may take beyond what this process holds."""
SECONDS: Final = "EVALSUITE_READING_SECONDS"
"""Environment variable: seconds of computing time that reading one file may take."""

_MOST_WORDS: Final = 2**25
"""Bytes of an answer, less what stands in its file."""
_LONGEST_MESSAGE: Final = 4000
_SLACK: Final = 2**26
"""Bytes that a child whose memory is used up still gets to say so."""
_DESCRIPTORS: Final = 64
_PATIENCE: Final = 20
"""Waiting time for each second of computing time: a machine may be busy, which is no fault of the file."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_PR_SET_PDEATHSIG: Final = 1
_HIGHEST: Final = 2**20
_FAILED: Final = 3
_NO_MEMORY: Final = ("can't allocate memory", "not enough memory", "bad_alloc")
"""What torch and other libraries of C++ say where the memory is used up."""


@final
@dataclass(frozen=True, kw_only=True)
class Limits:
    """What reading one file may take.

    Attributes:
        memory: Bytes beyond what this process holds.
        seconds: Of computing time; the waiting time is limited to a multiple of it.
        answer: Bytes of numbers that are handed back.
    """

    memory: int
    seconds: int
    answer: int

    @classmethod
    def for_size(cls, size: int, *, unpacked: int = 4) -> "Limits":
        """Enough for every honest file of `size` bytes, on a slow machine too, and little for a small one.

        Args:
            size: Of the file.
            unpacked: How many times as large as the file its contents may be, where they are large at all.
        """
        answer = max(2**28, unpacked * size)
        memory = _from_environment(MEMORY)
        return cls(
            memory=memory or 3 * 2**28 + (unpacked + 2) * size,
            seconds=_from_environment(SECONDS) or 2 + size // 2_000_000,
            answer=max(answer, memory or 0),
        )


def run_apart(work: Callable[[], Plain], *, path: Path, limits: Limits) -> Plain:
    """What `work` returns, run in a child process.

    Args:
        work: Must not need other threads, nor an accelerator; what it changes is lost. It sees everything that this
            process sees, e.g. the bytes of the file.
        path: The file, for messages.
        limits: For the child.

    Raises:
        UsageError: Raised by `work`.
        RefusedInputError: Raised by `work`; or it raised something else, took more than the limits, or crashed.
    """
    with _empty_file() as file:
        reads, writes = os.pipe()
        try:
            child = _forked(work, file, writes, limits)
        except BaseException:
            os.close(reads)
            raise
        finally:
            os.close(writes)
        words, code = _awaited(child, reads, limits)
        if words is None or code == -signal.SIGXCPU:
            raise RefusedInputError(_too_slow(path, limits))
        if code:
            raise RefusedInputError(_crashed(path, code))
        return _answer(words, file, path, limits)


def _answer(words: bytes, file: int, path: Path, limits: Limits) -> Plain:
    try:
        match decode(words, file):
            case ["answer", answer]:
                return answer
            case ["error", "UsageError", str(message)]:
                raise UsageError(message[:_LONGEST_MESSAGE])
            case ["error", "RefusedInputError", str(message)]:
                raise RefusedInputError(message[:_LONGEST_MESSAGE])
            case ["other", str(message)]:
                got = f"{message[:_LONGEST_MESSAGE]}: {path}"
                raise RefusedInputError(f"expected a whole file, got one whose reader failed with {got}")
            case ["memory"]:
                raise RefusedInputError(_too_large(path, limits))
            case _:
                pass
    except ValueError as error:
        raise RefusedInputError(f"expected a file that can be read, got {error}: {path}") from error
    raise RefusedInputError(f"expected a file that can be read, got one whose reader gives no answer: {path}")


def _too_large(path: Path, limits: Limits) -> str:
    allowed = f"{limits.memory / 1e9:.1f} GB"
    way_out = f"the environment variable {MEMORY} allows more, in bytes"
    return f"expected a file that can be read within {allowed} of memory, got one that takes more: {path}; {way_out}"


def _too_slow(path: Path, limits: Limits) -> str:
    within = f"{limits.seconds} s of computing time"
    way_out = f"the environment variable {SECONDS} allows more"
    return f"expected a file that can be read within {within}, got one that takes more: {path}; {way_out}"


def _crashed(path: Path, code: int) -> str:
    """Where the code is negative, it is that of a signal."""
    if code == -signal.SIGKILL:
        return f"expected a file for which there is enough memory, got one whose reader was killed: {path}"
    how = signal.Signals(-code).name if -code in set(signal.Signals) else f"code {code}"
    return f"expected a whole file, got one at which its reader crashes ({how}): {path}"


def _from_environment(name: str) -> int | None:
    text = os.environ.get(name)
    if not text:
        return None
    try:
        number = int(float(text))
    except (ValueError, OverflowError):
        number = 0
    if number <= 0:
        raise UsageError(f"{name}: expected a number above 0, got {text!r}")
    return number


@contextmanager
def _empty_file() -> Iterator[int]:
    """A file without a name, in memory where the system has such."""
    if sys.platform == "linux":
        file = os.memfd_create("evalsuite", os.MFD_CLOEXEC)
        try:
            yield file
        finally:
            os.close(file)
    else:
        with tempfile.TemporaryFile(buffering=0) as temporary:
            yield temporary.fileno()


def _forked(work: Callable[[], Plain], file: int, writes: int, limits: Limits) -> int:
    """The child's process id."""
    # a handler of this process, run in the child, would unwind what belongs to the parent
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        with warnings.catch_warnings():
            # other threads may hold locks: the child uses none that they use
            warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
            child = os.fork()
        if child == 0:
            _child(work, file, writes, limits)
    except OSError as error:
        raise UsageError(f"expected to be able to start a process that reads a file, got: {error.strerror}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return child


def _awaited(child: int, reads: int, limits: Limits) -> tuple[bytes | None, int]:
    """What the child says, None where that takes too long; and its exit code. It has ended, whatever happens here."""
    words = None
    try:
        with suppress(OSError):
            os.setpgid(child, child)  # as it does itself: whoever is first
        words = _read(reads, time.monotonic() + _PATIENCE * limits.seconds)
    finally:
        os.close(reads)
        if words is None:
            _kill(child)
        _, status = os.waitpid(child, 0)
    return words, os.waitstatus_to_exitcode(status)


def _kill(child: int) -> None:
    for kill in (os.killpg, os.kill):
        with suppress(OSError):
            kill(child, signal.SIGKILL)


def _read(reads: int, deadline: float) -> bytes | None:
    """All that comes through the pipe; None where that takes too long, or is too much."""
    words = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(reads, selectors.EVENT_READ)
        while len(words) <= _MOST_WORDS and selector.select(max(0.0, deadline - time.monotonic())):
            more = os.read(reads, 2**20)
            if not more:
                return bytes(words)
            words += more
    return None


def _child(work: Callable[[], Plain], file: int, writes: int, limits: Limits) -> NoReturn:
    """Everything that the child does; it ends here whatever happens."""
    try:
        file, writes = _alone(file, writes)
        _confine(limits)
        _send(_outcome(work, file), writes)
        os._exit(0)
    finally:
        os._exit(_FAILED)


def _alone(file: int, writes: int) -> tuple[int, int]:
    """Cut off from all that is shared with the parent, but for two descriptors, which get other numbers."""
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    for number in (*_SIGNALS, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    faulthandler.disable()
    # what the parent has thrown away would close descriptors when it is collected
    gc.freeze()
    null = os.open(os.devnull, os.O_RDWR)
    kept = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3) for descriptor in (file, writes)]
    for descriptor in range(3):
        os.dup2(null, descriptor)
    highest = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], _HIGHEST)
    for low, high in itertools.pairwise((2, *kept, highest)):
        os.closerange(low + 1, high)
    # they may have been put in place by others, on descriptors that are closed now
    sys.stdin = sys.stdout = sys.stderr = os.fdopen(os.dup(0), "r+", encoding="utf-8")
    return kept[0], kept[1]


def _confine(limits: Limits) -> None:
    if "torch" in sys.modules:
        # the threads of the parent are not there, and would be waited for
        sys.modules["torch"].set_num_threads(1)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    _limit(resource.RLIMIT_FSIZE, limits.answer)
    _limit(resource.RLIMIT_CPU, limits.seconds, slack=1)
    statm = Path("/proc/self/statm")
    if statm.exists():
        taken = int(statm.read_text(encoding="ascii").split()[0]) * mmap.PAGESIZE
        _limit(resource.RLIMIT_AS, taken + limits.memory, slack=_SLACK)


def _limit(what: int, value: int, *, slack: int = 0) -> None:
    hard = resource.getrlimit(what)[1]
    allowed = sys.maxsize if hard == resource.RLIM_INFINITY else hard
    # not every system keeps every limit
    with suppress(OSError, ValueError):
        resource.setrlimit(what, (min(value, allowed), min(value + slack, allowed)))


def _outcome(work: Callable[[], Plain], file: int) -> str:
    try:
        answer = work()
        # readers leave what they have read in circles
        gc.collect()
        words = encode(["answer", answer], file)
        if len(words) <= _MOST_WORDS:
            return words
        outcome = ["memory"]
    except BaseException as error:  # noqa: BLE001 - whatever the reader of damaged bytes raises
        outcome = _failure(error)
    # what was read is let go by now; where that was all there is, a little more lets the child say so
    with suppress(OSError, ValueError):
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    return encode(outcome, file)


def _failure(error: BaseException) -> list[str]:
    if _out_of_memory(error):
        return ["memory"]
    if isinstance(error, EvalsuiteError):
        kind = "RefusedInputError" if error.exit_code == RefusedInputError.exit_code else "UsageError"
        return ["error", kind, str(error)[:_LONGEST_MESSAGE]]
    first = " ".join(str(error)[:_LONGEST_MESSAGE].split())
    return ["other", f"{type(error).__name__}: {first}" if first else type(error).__name__]


def _out_of_memory(error: BaseException) -> bool:
    """Also where that is the cause of what a reader says of the file."""
    if error.__cause__ is not None and _out_of_memory(error.__cause__):
        return True
    if isinstance(error, OSError):
        return error.errno in {errno.ENOMEM, errno.EFBIG}
    return isinstance(error, MemoryError) or any(word in str(error) for word in _NO_MEMORY)


def _send(outcome: str, writes: int) -> None:
    left = memoryview(outcome.encode("utf-8", "surrogatepass"))
    while left:
        left = left[os.write(writes, left) :]
