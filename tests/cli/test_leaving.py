"""A process ends when its command does, with the exit code of the command, whatever a user's code has prepared."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

pytestmark = pytest.mark.slow

SOURCE = """
import atexit, ctypes, os, posix, threading, time
from torch import nn

def late():
    atexit.register(lambda: os._exit(0))
    raise ValueError("of the user's")

def after():
    threading.Thread(target=lambda: (threading.main_thread().join(), os._exit(0))).start()
    raise ValueError("of the user's")

def endless():
    threading.Thread(target=time.sleep, args=(600,)).start()
    raise ValueError("of the user's")

def leaves():
    posix._exit(0)

def leaves_in_c():
    ctypes.CDLL(None).exit(0)

def twice():
    os.fork()
    raise ValueError("of the user's")

def noisy():
    def fail():
        raise ValueError("two\\nlines and \\x1b[31m colour")
    thread = threading.Thread(target=fail, name="reader")
    thread.start()
    thread.join()
    raise ValueError("of the user's")
"""
RAISED = "got ValueError: of the user's (leaver.py, line "


@pytest.mark.parametrize(
    ("function", "code", "message"),
    [
        ("late", 2, RAISED),
        ("after", 2, RAISED),
        ("endless", 2, RAISED),
        ("twice", 2, RAISED),
        ("noisy", 2, RAISED),
        ("leaves", 2, "got SystemExit: 0 (leaver.py, line "),
        ("leaves_in_c", 5, "code that is not evalsuite's ended the process (exit)"),
    ],
)
def test_the_exit_code_is_the_commands(tmp_path, function, code, message):
    (tmp_path / "leaver.py").write_text(SOURCE)
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "net.pt")
    arguments = ("plan", "--no-time", "--ckpt", "net.pt", "--arch", f"leaver:{function}", "--data", "digits")
    ended = subprocess.run(
        [sys.executable, "-m", "evalsuite", *arguments],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    *before, last = ended.stderr.splitlines()
    assert last.startswith("evalsuite: ")
    assert message in last
    thread = r"evalsuite: reader ended with ValueError: two\nlines and \x1b[31m colour"
    assert before == [thread] * (function == "noisy")  # and a copy of the process says nothing
