"""Ends a process soon after a signal asks for it, also in the midst of an operation of torch that takes long."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import final

STOPPED: Mapping[int, tuple[int, str]] = MappingProxyType(
    {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}
)
"""Exit code and word by signal."""
_GRACE = 1.2
"""Seconds in which the process may unwind: close files, take back what is half-written, say its last words."""
_MOMENT = 0.2
"""Seconds that the watching thread may need to see a signal."""
_SHOW_CURSOR = "\x1b[?25h"


@final
class Watch:
    """What is known of signals.

    Attributes:
        requested: Set where a signal has come that ends the process.
        announced: Set by the caller, once it has said that the process was stopped.
    """

    def __init__(self) -> None:
        self.requested, self.announced = threading.Event(), threading.Event()

    def leave(self, code: int) -> None:
        """End the process with `code` if a signal has come: an interpreter with large tensors takes seconds to end."""
        if code in {code for code, _ in STOPPED.values()} and self.requested.wait(_MOMENT):
            os._exit(code)


@contextmanager
def ended_soon() -> Iterator[Watch]:
    """While it lasts, and until the process ends, SIGINT and SIGTERM end it after a second if it does not do so itself.

    Python hands signals on between two of its own operations, and a single one of torch - a backward pass on large
    images - may take many seconds; so may a pool of threads that reads photos, which waits for all that it has begun.
    Nothing is lost by it: the database takes back what is half-written, and files are put in place whole.
    """
    watch = Watch()
    if threading.current_thread() is not threading.main_thread():
        yield watch
        return
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    before = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reads, watch), name="evalsuite interruption", daemon=True).start()
    try:
        yield watch
    finally:
        signal.set_wakeup_fd(before)
        os.close(writes)  # the thread ends, unless a signal has come


def _watch(reads: int, watch: Watch) -> None:
    with os.fdopen(reads, "rb", buffering=0) as pipe:
        while number := pipe.read(1):
            if number[0] in STOPPED:
                watch.requested.set()
                time.sleep(_GRACE)
                _end(*STOPPED[number[0]], announced=watch.announced.is_set())


def _end(code: int, how: str, *, announced: bool) -> None:
    """End the process without unwinding."""
    from evalsuite import heartbeat

    heartbeat.abandon(code)
    with suppress(OSError, ValueError, AttributeError):
        if sys.stderr.isatty():
            os.write(2, f"{_SHOW_CURSOR}\n".encode())
        if not announced:
            os.write(2, f"evalsuite: {how}; what was finished is kept, the same command continues\n".encode())
    os._exit(code)
