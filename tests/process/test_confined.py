"""Readers of untrusted files run in a child process: whatever they do, this process goes on and says what happened."""

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click
import pytest
import torch

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.process.confined import MEMORY, SECONDS, Limits, run_apart
from evalsuite.process.plain_values import Plain

pytestmark = pytest.mark.slow

FILE = Path("weights.pt")
SMALL = Limits(memory=2**28, seconds=1, answer=2**20)


def apart(work: Callable[[], Plain], limits: Limits = SMALL) -> Plain:
    return run_apart(work, path=FILE, limits=limits)


def spin() -> None:
    while True:
        pass


def descriptors() -> set[int]:
    """Those that are open now."""
    listed = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    return {number for number in listed if Path(f"/proc/self/fd/{number}").exists()}


def nested() -> Plain:
    value: list[Plain] = []
    for _ in range(10**5):
        value = [value]
    return value


def test_plain_values_arrive_as_they_are() -> None:
    value = {"a": [1, -2.5, None, True, "ünï\ud800"], "": {}, "b": []}
    assert apart(lambda: value) == value


def test_bytes_arrive_as_memory_that_can_be_written() -> None:
    arrived = apart(lambda: {"x": torch.arange(6).numpy().data, "y": b"", "z": b"abc"})
    assert isinstance(arrived, dict)
    numbers = torch.frombuffer(arrived["x"], dtype=torch.int64)
    numbers += 1
    assert numbers.tolist() == [1, 2, 3, 4, 5, 6]
    assert [bytes(arrived["y"]), bytes(arrived["z"])] == [b"", b"abc"]


def test_what_the_child_changes_is_lost() -> None:
    observed: list[int] = []
    assert apart(lambda: [observed.append(os.getpid()), *observed]) != [None, os.getpid()]
    assert not observed


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (spin, rf"within 1 s of computing time.*weights\.pt.*{SECONDS}"),
        (lambda: bytearray(2**29), rf"within 0\.3 GB of memory.*weights\.pt.*{MEMORY}"),
        (lambda: torch.zeros(2**28).numel(), rf"within 0\.3 GB of memory.*{MEMORY}"),
        (lambda: bytes(2**22), rf"memory.*{MEMORY}"),  # more than may be handed back
        (lambda: "x" * 2**26, rf"memory.*{MEMORY}"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), r"its reader crashes \(SIGSEGV\): weights\.pt"),
        (os.abort, r"its reader crashes \(SIGABRT\)"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed"),
        (lambda: os._exit(7), r"its reader crashes \(code 7\)"),
        (lambda: os._exit(0), r"expected a file that can be read, got"),
        (lambda: 1 / 0, r"failed with ZeroDivisionError: division by zero: weights\.pt"),
        (nested, r"failed with RecursionError"),
        (object, r"failed with TypeError: expected a plain value, got object"),  # type: ignore[arg-type,return-value]
        (sys.exit, r"failed with SystemExit"),
    ],
)
def test_every_end_but_an_answer_is_one_line(work: Callable[[], Plain], message: str) -> None:
    with pytest.raises(RefusedInputError, match=message) as caught:
        apart(work)
    assert "\n" not in str(caught.value)


def test_messages_of_our_own_keep_their_kind() -> None:
    def usage() -> None:
        raise UsageError("no such thing")

    def refused() -> None:
        raise RefusedInputError("damaged")

    with pytest.raises(UsageError, match=r"^no such thing$"):
        apart(usage)
    with pytest.raises(RefusedInputError, match=r"^damaged$"):
        apart(refused)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[", b"null", b"{}", b'["answer"]', b'["answer",["tuple"]]', b'["answer",["bytes",0,1]]', b"[" * 10**5,
        b'["list","answer",["bytes",-8,8]]', b'["list","answer",["mapping",[1,2]]]', b'["list","answer",["mapping",7]]',
        b'["list","answer",["bytes",0,99999999]]', b'["list","error","SystemExit","x"]', b"\xff\xfe", b"9" * 5000,
    ],
)  # fmt: skip
def test_an_answer_of_a_child_that_was_taken_over_is_refused(text: bytes) -> None:
    def answer() -> None:
        for descriptor in descriptors() - {0, 1, 2}:
            os.write(descriptor, text if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else b"12345678")
        os._exit(0)

    with pytest.raises(RefusedInputError, match=r"expected a file that can be read.*weights\.pt"):
        apart(answer)


def test_the_child_shares_neither_descriptors_nor_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "store").open("w"):
        assert apart(lambda: len(descriptors())) == 6  # 0 to 2, their common copy, and the two of the answer
    apart(lambda: [os.write(number, b"noise") for number in (1, 2)])
    apart(lambda: click.echo("noise"))
    assert capfd.readouterr() == ("", "")


def test_nothing_is_left_behind() -> None:
    before = descriptors()
    for work in (lambda: 1, os.abort, lambda: os.kill(os.getpid(), signal.SIGXCPU)):
        with suppress(RefusedInputError):
            apart(work)
    assert descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_the_child_too(tmp_path: Path) -> None:
    mark = tmp_path / "pid"

    def work() -> None:
        mark.write_text(str(os.getpid()))
        time.sleep(60)

    def interrupt() -> None:
        while not mark.exists() or not mark.read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        apart(work, Limits(memory=2**28, seconds=60, answer=2**20))
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_torch_computes_in_the_child_after_it_has_used_threads_here() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        whole = torch.arange(512.0 * 512).reshape(512, 512)
        expected = (whole @ whole).sum().item()
        assert apart(lambda: (whole @ whole).sum().item(), SMALL) == pytest.approx(expected)
    finally:
        torch.set_num_threads(before)


def test_limits_grow_with_the_file_and_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = Limits.for_size(1000), Limits.for_size(10**9)
    assert small.memory < 2**30
    assert small.seconds <= 3
    assert large.memory > 5 * 10**9
    assert large.seconds > 100
    monkeypatch.setenv(MEMORY, "4e9")
    monkeypatch.setenv(SECONDS, "60")
    assert (Limits.for_size(1000).memory, Limits.for_size(1000).seconds) == (4 * 10**9, 60)
    monkeypatch.setenv(MEMORY, "much")
    with pytest.raises(UsageError, match=MEMORY):
        Limits.for_size(1000)
