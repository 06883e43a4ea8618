"""Whether reading an input did anything but read: ran a program, opened a connection, wrote outside of its folder."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

_RUN: Final = frozenset({"os.system", "os.exec", "os.posix_spawn", "os.startfile", "pty.spawn", "webbrowser.open"})
_NET: Final = frozenset({"socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request", "smtplib.connect"})
_CHANGE: Final = frozenset(
    {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
)
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@final
class Effects:
    """Listens to Python's audit events; `seen` holds what must not be, in words.

    evalsuite's own child processes, which run this very Python, are no effect.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` may be written to."""
        self.recorded: list[str] = []
        self._folder, self._watching = os.path.realpath(folder), False
        tempfile.tempdir = str(folder)
        sys.addaudithook(self._hear)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Begins anew, and listens until the context ends."""
        self.recorded, self._watching = [], True
        try:
            yield
        finally:
            self._watching = False

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._watching:
            return
        if event in _RUN or event in _NET:
            self.recorded.append(f"{event} {arguments!r}"[:300])
        elif event == "subprocess.Popen" and str(arguments[0]) != sys.executable:
            self.recorded.append(f"{event} {arguments[:2]!r}"[:300])
        elif event in _CHANGE and not self._inside(arguments[0]):
            self.recorded.append(f"{event} {arguments!r}"[:300])
        elif (
            event == "open"
            and isinstance(arguments[2], int)
            and arguments[2] & _WRITING
            and not self._inside(arguments[0])
        ):
            self.recorded.append(f"open for writing {arguments[0]!r}"[:300])

    def _inside(self, path: object) -> bool:
        if not isinstance(path, str | bytes):
            return True  # a descriptor that is open already
        real = os.path.realpath(os.fsdecode(path))
        return real.startswith((self._folder, "/dev/", "/proc/")) or "__pycache__" in real
