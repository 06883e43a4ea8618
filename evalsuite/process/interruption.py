"""Ends a process soon and rightly after a signal asks for it, at whatever moment it comes.

Nothing is raised where a signal happens to find the process: in the midst of an import, or of others' code, it would be
lost, or be taken for an error. A flag is set instead. Work looks at it where it can be left (`check`), and unwinds:
files are closed, what is half-written is taken back. Whatever has not ended after a second is ended without unwinding,
by a thread that waits for signals alone, since a single operation of torch may take many seconds. Nothing is lost by
that: the database takes back what is half-written, and files are put in place whole. A second signal ends at once.
"""

import fcntl
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType, MappingProxyType
from typing import Final, final

from evalsuite.errors import TerminatedError

CODES: Final[Mapping[int, int]] = MappingProxyType({signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129})
"""Exit code by signal: as a shell has it of a process that dies by it."""
_WORDS: Final = MappingProxyType({130: "interrupted", 143: "terminated", 129: "hung up"})
_CONTINUES: Final = "what was finished is kept, the same command continues"
_GRACE: Final = 1.2
"""Seconds in which the process may unwind: close files, take back what is half-written, say its last words."""
_MOMENT: Final = 0.2
"""The same where nobody works on a run: nothing is to be taken back."""
_LAST_WORDS: Final = 0.5
"""Seconds that those may take who are told that the process ends without unwinding."""
_WAKE: Final = b"\0"
_SHOW_CURSOR: Final = "\x1b[?25h"
_end_process: Final = os._exit  # before anybody puts something else in its place


@final
class Watch:
    """What is known of signals."""

    def __init__(self) -> None:
        self._announced, self._code = threading.Event(), 0
        self._last_words: list[Callable[[int], None]] = []
        self._reads, self._writes = _pipe()
        os.set_blocking(self._writes, False)
        self._before = {number: signal.getsignal(number) for number in CODES}
        self._wakeup = signal.set_wakeup_fd(self._writes, warn_on_full_buffer=False)
        for number, handler in self._before.items():
            # who starts a process in the background, or with nohup, may have it ignore them
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._note)
        threading.Thread(target=self._run, name="evalsuite interruption", daemon=True).start()

    @property
    def code(self) -> int:
        """Exit code of the first signal that has come; 0 where none has."""
        return self._code

    def close(self) -> None:
        """Put everything back as it was, unless a signal has come: then the process ends."""
        if self._code:
            return
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._writes)  # the thread ends

    def instead_of(self, error: BaseException) -> BaseException:
        """What the caller is to say of the end: a stop, once a signal has come, whatever others' code made of it."""
        if not self._code:
            return error
        self._announced.set()
        return _stop(self._code)

    def leave(self) -> None:
        """End the process, if a signal has come: an interpreter with large tensors takes seconds to end by itself."""
        if self._code:
            self._end()

    @contextmanager
    def telling(self, last_words: Callable[[int], None]) -> Iterator[None]:
        """While it lasts, `last_words` hears of a process that ends without unwinding, and of its exit code."""
        self._last_words.append(last_words)
        try:
            yield
        finally:
            self._last_words.remove(last_words)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._code = self._code or CODES[number]
        with suppress(OSError):
            os.write(self._writes, _WAKE)  # others may have put another pipe in the place of ours

    def _run(self) -> None:
        """The thread: waits for a signal, and then for the end of the process or a second one."""
        while number := os.read(self._reads, 1):
            self._code = self._code or CODES.get(number[0], 0)
            if self._code:
                self._wait_for_another(_GRACE if self._last_words else _MOMENT)
                self._end()
        os.close(self._reads)

    def _wait_for_another(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and select.select([self._reads], [], [], left)[0]:
            if os.read(self._reads, 1)[0] in CODES:
                return

    def _end(self) -> None:
        """End the process without unwinding."""
        if self._last_words:
            teller = threading.Thread(target=self._tell, daemon=True)
            teller.start()
            teller.join(_LAST_WORDS)  # a disk may hang
        with suppress(OSError, ValueError, AttributeError):
            if sys.stderr.isatty():
                os.write(2, f"{_SHOW_CURSOR}\n".encode())
            if not self._announced.is_set():
                os.write(2, f"evalsuite: {describe_end(self._code)}\n".encode())
        _end_process(self._code)

    def _tell(self) -> None:
        for last_words in self._last_words:
            last_words(self._code)


_WATCHES: Final[list[Watch]] = []


def listen() -> Watch | None:
    """From now on, and until the process ends, signals are answered as this module says; the first thing that is done.

    Returns:
        What is known of signals; None outside the main thread, which alone can answer them.
    """
    if not _WATCHES and threading.current_thread() is threading.main_thread():
        _WATCHES.append(Watch())
    return _WATCHES[0] if _WATCHES else None


@contextmanager
def listening() -> Iterator[Watch | None]:
    """As `listen`, while it lasts; where that was called before nothing changes."""
    before = bool(_WATCHES)
    watch = listen()
    try:
        yield watch
    finally:
        if watch is not None and not before:
            _WATCHES.remove(watch)
            watch.close()


def check() -> None:
    """To be called where work can be left, in the main thread.

    Raises:
        TerminatedError: A signal has come.
    """
    if _WATCHES and (code := _WATCHES[0].code) and threading.current_thread() is threading.main_thread():
        raise _stop(code)


@contextmanager
def telling(last_words: Callable[[int], None]) -> Iterator[None]:
    """While it lasts, `last_words` hears the exit code of a process that a signal ends without unwinding."""
    if not _WATCHES:
        yield
        return
    with _WATCHES[0].telling(last_words):
        yield


def _stop(code: int) -> TerminatedError:
    return TerminatedError(_WORDS[code], code=code)


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are no standard streams, even where those were closed: libraries write to their numbers."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


def describe_end(code: int) -> str:
    """One line on a process that a signal ended with `code`."""
    return f"{_WORDS[code]}; {_CONTINUES}"
