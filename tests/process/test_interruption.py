"""Killed at ten random moments and continued, a run ends with the results of one that was left alone.

benchmarks/signals.py and benchmarks/faults.py do the same at many more moments.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evalsuite.analysis.results_file import read_back
from evalsuite.errors import EvalsuiteError
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, write

pytestmark = [pytest.mark.usefixtures("interruptible"), pytest.mark.slow]

KILLS = 10
TIMES = {"seconds", "created", "latency_ms", "throughput_ms", "command", "id", "results"}
"""What differs between two runs of the same; `results` is the digest of results with their times."""


def start(checkpoint: Path, out: Path, message: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
    options = (
        *("--ckpt", checkpoint, "--out", out, "--pruner", "magnitude,filter-norm", "--ratios", "0.4,0.7,0.9"),
        *("--retrain", "standard", "--epochs", "2", "--schedule", "cascade", "--margin", "0.1", "--examples", "600"),
        *("--tasks", "clean,noise/gaussian/0.1,corruption/fog/1-5,adversarial/linf/0.05?attack=pgd"),
        *("--tasks", "certified/l2/0.1?sigma=0.1&n0=20&n=100", "--examples-for", "certified=64"),
    )
    command = [sys.executable, "-m", "evalsuite", "sweep", *map(str, options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=message)


def timeless(value):
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def checkpoint(tmp_path, lenet):
    digits = tuple(map(str, range(10)))
    path = tmp_path / "lenet5.safetensors"
    write(
        path,
        Checkpoint(network=lenet, arch="lenet5", class_count=10, classes=digits, shape=(1, 8, 8), data="digits"),
    )
    return path


def kept(out: Path) -> int:
    """Bytes of the database and of the networks: what a killed run does not lose. Nothing is opened, or locked."""
    files = (out / "results.sqlite", *out.glob("networks/*.safetensors"))
    return sum(file.stat().st_size for file in files if file.exists())


def ends_before(process: "subprocess.Popen[bytes]", out: Path, size: int) -> bool:
    """Waits until so much is kept or the process has ended; whether that came first."""
    while process.poll() is None:
        if kept(out) >= size:
            return False
        time.sleep(0.01)
    return True


def test_killed_ten_times(checkpoint, tmp_path):
    assert start(checkpoint, tmp_path / "whole").wait() == 0
    # moments are told by what is kept, not by seconds: on a busy machine they are the same
    step = kept(tmp_path / "whole") // (KILLS + 2)
    chance, killed, torn = random.Random(7), 0, [tmp_path / "torn-0"]  # noqa: S311 - moments, not secrets
    while killed < KILLS:
        size = kept(torn[-1]) + chance.randint(0, 2 * step)
        process = start(checkpoint, torn[-1])
        if ends_before(process, torn[-1], size):
            torn.append(tmp_path / f"torn-{len(torn)}")  # it got through between two looks: tear another
            continue
        time.sleep(chance.uniform(0, 0.05))  # somewhere in the next piece of work
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
        try:
            assert read_back(torn[-1])[0].complete  # it was as good as at its end
        except EvalsuiteError as error:
            assert error.exit_code in {2, 3}  # noqa: PT017 - not begun, or not finished
    last = start(checkpoint, torn[-1], subprocess.PIPE)
    _, message = last.communicate()
    assert last.returncode == 0, message.decode()
    expected = timeless(json.loads((tmp_path / "whole" / "results.json").read_text()))
    for folder in torn:
        assert timeless(json.loads((folder / "results.json").read_text())) == expected
        assert not list(folder.rglob(".*"))  # nothing half-written is left behind


CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.mark.parametrize("how", CODES)
def test_a_signal_at_start_up_is_not_lost(how):
    """It comes while libraries are imported: whatever these make of it, the process ends, and rightly."""
    chance = random.Random(int(how))  # noqa: S311 - moments, not secrets
    command = [sys.executable, "-X", "importtime", "-m", "evalsuite", "list", "pruners"]
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        while "evalsuite.process.interruption" not in process.stderr.readline():  # told once it is read
            pass
        for _ in range(chance.randint(1, 1000)):
            process.stderr.readline()
        process.send_signal(how)
        _, messages = process.communicate()
        assert process.returncode == CODES[how], messages
        assert messages.count("the same command continues") == 1
        assert "Traceback" not in messages


def test_a_second_signal_ends_a_process_at_once():
    program = (
        "import time\nfrom evalsuite.process.interruption import listen, telling\nlisten()\n"
        "with telling(lambda code: None):\n    print('ready', flush=True)\n    time.sleep(60)\n"
    )
    took = []
    for signals in (1, 2):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        process.stdout.readline()
        began = time.monotonic()
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        assert process.wait() == 130
        process.stdout.close()
        took.append(time.monotonic() - began)
    assert took[1] < took[0]


def test_others_may_listen_to_signals_too():
    program = (
        "import os, signal, time\nfrom evalsuite.process.interruption import listen\nlisten()\n"
        "signal.set_wakeup_fd(-1)\nos.kill(os.getpid(), signal.SIGTERM)\n"
        "while True: time.sleep(1)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 143
    assert ended.stderr.count("the same command continues") == 1


def test_what_a_process_was_started_to_ignore_it_ignores():
    program = (
        "import os, signal, time\nfrom evalsuite.process.interruption import check, listen\nlisten()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\ntime.sleep(1)\ncheck()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)\n"
    )
    command = f"trap '' HUP; exec {sys.executable} -c \"$PROGRAM\""
    ended = subprocess.run(["bash", "-c", command], env={**os.environ, "PROGRAM": program}, check=False)  # like nohup
    assert ended.returncode == 143


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_politely(checkpoint, tmp_path, how, code):
    process = start(checkpoint, tmp_path / "run", subprocess.PIPE)
    assert not ends_before(process, tmp_path / "run", 1)
    process.send_signal(how)
    _, sentence = process.communicate()
    assert process.returncode == code, sentence.decode()
    assert b"the same command continues" in sentence
