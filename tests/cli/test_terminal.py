"""Names that files carry reach a terminal as text: no title is set, no line is forged, no screen is filled."""

import io
import os
import pickle
import pty
import re
import select
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

FORGED = "\nevalsuite: the file is fine\n"
HOSTILE = f"\x1b]0;pwned\x07\x1b[2J{FORGED}\u202egpj.exe"
# what colours and bars are drawn with
OURS = re.compile(r"\x1b\[[0-9;]*[mAKJH]|\x1b\[\?25[hl]|\r")

SCRIPT = """
import sys, warnings
from evalsuite.cli import cli
from evalsuite.cli._console import guarded, reporter
from evalsuite.errors import UsageError
import click

hostile = HOSTILE

@click.command()
def speaks():
    warnings.warn(hostile)
    display = reporter()
    display.start(hostile, 1.0)
    display.work_on(hostile, hostile)
    display.advance(0.5, hostile)
    display.say(hostile)
    display.finish()
    raise UsageError(hostile)

# evalsuite's own code, as far as a traceback tells
own = {"__name__": "evalsuite.pretended"}
exec("def crash(text):\\n    raise RuntimeError(text)", own)

@click.command()
def crashes():
    own["crash"](hostile)

@click.command()
def strays():
    raise click.UsageError(hostile)

def run(command, *arguments):
    sys.argv = ["evalsuite", *arguments]
    try:
        guarded(command)
    except SystemExit as ended:
        print("ended", ended.code)

run(speaks)
run(crashes)
run(strays)
for arguments in COMMANDS:
    run(cli, *arguments)
"""


def on_a_terminal(code: str, folder: Path) -> str:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "300"}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=folder, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    parts = []
    while select.select([ours], [], [], 600)[0]:
        try:
            part = os.read(ours, 65536)
        except OSError:  # nobody writes any more
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert process.wait() == 0
    return b"".join(parts).decode()


def pickled(name: str) -> bytes:
    """A file of torch.save that would call `name` of a module."""
    content = b"\x80\x02c" + f"os\n{name}\n".encode() + b")R."
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/version", "3")
    return file.getvalue()


@pytest.mark.timeout(900)
def test_nothing_that_a_file_carries_acts_on_the_terminal(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "")
    (tmp_path / f"{name}.pt").write_bytes(pickle.dumps([1]))
    (tmp_path / "global.pt").write_bytes(pickled("\x1b]0;pwned\x07"))
    torch.save({HOSTILE: torch.zeros(2), "long" * 50_000: torch.zeros(3)}, tmp_path / "keys.pt")
    (tmp_path / "photos" / f"ant{name}").mkdir(parents=True)
    (tmp_path / "photos" / "bee").mkdir()
    (tmp_path / "photos" / "bee" / f"{name}.png").write_bytes(b"no image")
    plan = ("plan", "--no-time", "--arch", "lenet5", "--data", "digits", "--ckpt")
    commands = [
        (*plan, f"{name}.pt"),
        (*plan, "global.pt"),
        (*plan, "keys.pt"),
        ("plan", "--no-time", "--arch", "lenet5", "--data", "folder:photos", "--ckpt", "keys.pt"),
        ("show", HOSTILE),
        ("sweep", HOSTILE),
    ]
    code = SCRIPT.replace("HOSTILE", repr(HOSTILE)).replace("COMMANDS", repr(commands))
    text = on_a_terminal(code, tmp_path).replace("\r\n", "\n")
    plain = OURS.sub("", text)
    for character in "\x1b\x07\u202e":
        assert character not in plain, plain
    assert "\x1b[2J" not in text
    assert "evalsuite: the file is fine" not in [line.strip() for line in plain.split("\n")]
    assert r"\x1b]0;pwned\x07" in plain
    assert max(map(len, plain.split("\n"))) < 10_000  # a bar is drawn again and again on one line
    endings = re.findall(r"^ended (\d+)$", plain, flags=re.MULTILINE)
    assert endings[:3] == ["2", "5", "2"]
    assert set(endings[3:]) <= {"2", "4"}
    assert len(endings) == 3 + len(commands)


def test_only_one_place_prints() -> None:
    """Whatever else wrote to a terminal would write names as they are."""
    folder = Path(__file__).parents[2] / "evalsuite"
    printing = re.compile(r"\bclick\.s?echo\(|(?<![\w.])print\(|\.secho\(")
    elsewhere = [
        f"{file.name}: {line.strip()}"
        for file in folder.rglob("*.py")
        if file.name != "_console.py"
        for line in file.read_text(encoding="utf-8").splitlines()
        if printing.search(line) and "_HOME_AND_CLEAR" not in line and "map(one_line" not in line
    ]
    assert elsewhere == []
