"""What people see while a command works, and how it ends when it is stopped or goes wrong."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import click
import pytest

from evalsuite.cli import _console
from evalsuite.cli._console import Lines, guarded
from evalsuite.errors import UsageError

pytestmark = [pytest.mark.usefixtures("interruptible"), pytest.mark.slow]


def test_lines_say_all_there_is_every_few_seconds(capsys):
    lines = Lines(every=0.2, first=0.05)
    lines.start("Pruning", 10.0)
    lines.work_on("magnitude-0-0.5")
    lines.enter_epoch(1, 2)
    time.sleep(0.1)
    lines.advance(1.0, "accuracy 90 %", examples=64)
    first = capsys.readouterr().err.splitlines()
    assert first[0] == "Pruning ..."
    expected = r"Pruning 10%  magnitude-0-0.5  epoch 1/2  [\d,]+ examples/s  \d+ s left  accuracy 90 %"
    assert re.fullmatch(expected, first[1])
    # one long step: nothing moves, and it is said all the same
    deadline, later = time.monotonic() + 30, []
    while len(later) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
        later += capsys.readouterr().err.splitlines()
    assert all("magnitude-0-0.5  epoch 1/2" in line for line in later)
    lines.finish()
    assert re.fullmatch(r"Pruning done in \d+ s", capsys.readouterr().err.splitlines()[-1])
    time.sleep(0.5)
    assert not capsys.readouterr().err


def test_nothing_is_said_after_an_error(capsys):
    @click.command()
    def command():
        reporter = _console.reporter()
        reporter._every = 0.05
        reporter.start("Pruning", 1.0)
        raise UsageError("expected a number, got none")

    argv, sys.argv = sys.argv, ["evalsuite"]
    try:
        with pytest.raises(SystemExit) as ended:
            guarded(command)
    finally:
        sys.argv = argv
    assert ended.value.code == 2
    time.sleep(0.3)
    assert capsys.readouterr().err.splitlines()[-1] == "evalsuite: expected a number, got none"


def on_a_terminal(code):
    """What stands on a terminal's lines in the end, after `code` has run on it, and the exit code."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "150", "NO_COLOR": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    parts = []
    while select.select([ours], [], [], 120)[0]:
        try:
            part = os.read(ours, 65536)
        except OSError:  # nobody writes any more
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    return b"".join(parts).decode(), process.wait()


def test_an_error_stands_below_the_bar():
    code = (
        "import sys, time, click\n"
        "from evalsuite.cli import _console\n"
        "from evalsuite.errors import UsageError\n"
        "@click.command()\n"
        "def command():\n"
        "    reporter = _console.reporter()\n"
        "    reporter.start('Pruning', 4.0)\n"
        "    reporter.work_on('magnitude-0-0.5')\n"
        "    reporter.enter_epoch(1, 2)\n"
        "    time.sleep(0.1)\n"
        "    reporter.advance(1.0, 'accuracy 90 %', examples=100)\n"
        "    time.sleep(1.5)\n"
        "    raise UsageError('expected a number, got none')\n"
        "sys.argv = ['evalsuite']\n"
        "_console.guarded(command)\n"
    )
    text, code = on_a_terminal(code)
    assert code == 2
    *before, last = [
        re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in text.replace("\r\n", "\n").split("\n") if line
    ]
    assert last == "evalsuite: expected a number, got none"
    bar = before[-1].split("\r")[-1]
    for piece in ("Pruning", "25%", "magnitude-0-0.5", "epoch 1/2", "examples/s", "left", "accuracy 90 %"):
        assert piece in bar
    assert text.index("\x1b[?25h") > text.index("\x1b[?25l")  # the cursor is back


STUCK = {
    # one operation of torch of many seconds, between two of Python
    "torch": "import torch; a = torch.rand(1500, 1500, dtype=torch.float64)\n    torch.linalg.eig(a)",
    # a pool waits for all it has begun
    "pool": "from concurrent.futures import ThreadPoolExecutor\n"
    "    with ThreadPoolExecutor(2) as pool: list(pool.map(time.sleep, [3] * 40))",
    # so does the interpreter when it ends
    "end": "import threading; threading.Thread(target=time.sleep, args=(60,)).start(); time.sleep(60)",
    "python": "time.sleep(60)",
    # others may catch all there is
    "swallowed": "\n".join(("while True:", "        try: time.sleep(0.1)", "        except BaseException: pass")),
}


SIGNALS = {
    signal.SIGINT: (130, b"interrupted"),
    signal.SIGTERM: (143, b"terminated"),
    signal.SIGHUP: (129, b"hung up"),
}


@pytest.mark.parametrize(
    ("how", "stuck"), [*((how, stuck) for how in list(SIGNALS)[:2] for stuck in STUCK), (signal.SIGHUP, "swallowed")]
)
def test_a_stopped_process_ends_within_two_seconds(tmp_path, how, stuck):
    code, word = SIGNALS[how]
    program = (
        "import sys, time, click\nfrom pathlib import Path\n"
        "from evalsuite.cli._console import guarded\nfrom evalsuite.records.heartbeat import recorded\n"
        "from evalsuite.progress import Silent\n"
        "@click.command()\ndef command():\n"
        f"  with recorded(Silent(), Path({str(tmp_path)!r})) as reporter:\n"
        "    reporter.start('Pruning', 1.0)\n"
        f"    {'import torch' if stuck == 'torch' else ''}\n"
        "    print('ready', flush=True)\n"
        f"    {STUCK[stuck]}\n"
        "sys.argv = ['evalsuite']\nguarded(command)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(how)
    began = time.monotonic()
    _, output = process.communicate(timeout=120)
    took = time.monotonic() - began
    assert process.returncode == code, output
    assert output.count(word + b"; what was finished is kept, the same command continues") == 1
    assert b"Traceback" not in output
    assert took < 2 + 2 * (os.getloadavg()[0] > 1)  # a busy machine is given more
    from evalsuite.records import heartbeat

    assert heartbeat.read(tmp_path).exit_code == code


def test_a_process_that_is_not_stopped_is_left_alone():
    """The watch ends with the command: no thread and no pipe is left."""

    def held():
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    before = held()

    @click.command()
    def command():
        pass

    argv, sys.argv = sys.argv, ["evalsuite"]
    try:
        for _ in range(3):
            with pytest.raises(SystemExit):
                guarded(command)
    finally:
        sys.argv = argv
    deadline = time.monotonic() + 30
    while held() != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert held() == before


def _exits(code):
    def leave():
        sys.exit(code)

    return leave


def _raises(error):
    def leave():
        raise error

    return leave


WAYS_OUT = {
    "sys.exit(0)": _exits(0),
    "sys.exit(1)": _exits(1),
    "os._exit(0)": lambda: os._exit(0),
    "os._exit(1)": lambda: os._exit(1),
    "an exit of click": _raises(click.exceptions.Exit(0)),
    "click's context": lambda: click.get_current_context().exit(0),
    "a broken pipe": _raises(BrokenPipeError(32, "Broken pipe")),
    "the end of a file": _raises(EOFError()),
    "a generator's exit": _raises(GeneratorExit()),
    "an abort": _raises(click.Abort()),
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_others_code_that_ends_the_process_gives_no_verdict(capsys, monkeypatch, way):
    @click.command()
    def command():
        WAYS_OUT[way]()

    monkeypatch.setattr(sys, "argv", ["evalsuite"])
    with pytest.raises(SystemExit) as ended:
        guarded(command)
    # whose code it was is told by where it stands: here it is this test's
    assert ended.value.code == 2
    assert "expected your code to run, got" in capsys.readouterr().err


def test_a_thread_that_ends_the_process_gives_no_verdict():
    program = (
        "import os, sys, threading, time, click\nfrom evalsuite.cli._console import guarded\n"
        "@click.command()\ndef command():\n"
        "    threading.Thread(target=os._exit, args=(0,)).start()\n    time.sleep(60)\n"
        "sys.argv = ['evalsuite']\nguarded(command)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 5
    assert "ended the process (os._exit(0))" in ended.stderr


def test_a_child_may_leave_as_it_likes(capsys, monkeypatch):
    @click.command()
    @click.pass_context
    def command(ctx):
        child = os.fork()
        if child == 0:
            os._exit(7)
        ctx.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    monkeypatch.setattr(sys, "argv", ["evalsuite"])
    monkeypatch.setitem(command.callback.__wrapped__.__globals__, "__name__", "evalsuite.cli.test")
    with pytest.raises(SystemExit) as ended:
        guarded(command)
    assert ended.value.code == 7
    leave = os._exit
    assert leave.__name__ == "_exit"  # put back


def test_the_end_of_stdin_and_streams_that_are_closed_give_their_numbers_to_nobody(tmp_path):
    program = (
        "import os, sys\nfrom evalsuite.process.interruption import listen\nlisten()\n"
        "import click\nfrom evalsuite.cli._console import guarded\n"
        "@click.command()\ndef command():\n"
        "    taken = [os.readlink(f'/proc/self/fd/{number}') for number in range(3)]\n"
        f"    open({str(tmp_path / 'told')!r}, 'w').write(' '.join(taken))\n"
        "sys.argv = ['evalsuite']\nguarded(command)\n"
    )
    line = f'exec {sys.executable} -c "$PROGRAM" <&- >&- 2>&-'
    ended = subprocess.run(["bash", "-c", line], env={**os.environ, "PROGRAM": program}, check=False)
    assert ended.returncode == 0
    assert (tmp_path / "told").read_text() == "/dev/null /dev/null /dev/null"
