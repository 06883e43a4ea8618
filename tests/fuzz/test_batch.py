"""The fuzzer finds what it is there for: readers that die, raise, hang, take memory, mislead or do more than read."""

import os
import signal
import subprocess
import time

import pytest

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.progress import clock
from fuzz import batch, oracle
from fuzz.target import Target, mutant

pytestmark = pytest.mark.slow

HONEST = b"some honest words"


def refuses(_data, _folder):
    raise RefusedInputError("expected another file, got this one")


def misuses(_data, _folder):
    raise UsageError("expected another option, got this one")


def raises(_data, _folder):
    return clock("no seconds")


def dies(_data, _folder):
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves(_data, _folder):
    os._exit(0)


def grows(_data, _folder):
    return len(b"x" * (3 * 2**26))


def cannot_grow(_data, _folder):
    try:
        return bytearray(2**40)
    except MemoryError as error:
        raise RefusedInputError("expected a smaller file, got a large one") from error


def computes(_data, _folder):
    end = time.process_time() + 60
    while time.process_time() < end:
        pass


def misleads(_data, _folder):
    raise UsageError(" ")


def runs(_data, _folder):
    return subprocess.run(["true"], check=True)


def writes(_data, folder):
    return (folder.parent.parent / "elsewhere").write_bytes(b"")


def made_up(read):
    """Honest words do no harm, so that the fuzzer can begin."""
    return Target(name="made-up", honest=lambda _: [HONEST], read=lambda data, at: data == HONEST or read(data, at))


def run(read, inputs=3):
    target = made_up(read)
    return lambda shared: batch.run(target, shared=shared, seed=5, first=0, seconds=60.0, inputs=inputs)


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (lambda data, _: data, "read"),
        (refuses, "refused"),
        (misuses, "usage"),
        (raises, "exception"),
        (dies, "death"),
        (leaves, "death"),
        (grows, "memory"),
        (cannot_grow, "memory"),
        (computes, "time"),
        (misleads, "message"),
        (runs, "effect"),
        (writes, "effect"),
    ],
)
def test_every_outcome_is_told_apart(read, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "CPU_SECONDS", 0.25)
    monkeypatch.setattr(oracle, "GROWTH", 2**26)
    tally = run(read)(tmp_path)
    assert dict(tally.kinds) == {kind: 3}
    assert {result for result, _ in tally.findings} == ({kind} - {"read", "refused", "usage"})


def test_a_death_is_that_of_its_input(tmp_path):
    """Every input is tried once, before and after one that ends the process."""

    def read(data, _folder):
        if len(data) % 2:
            os.kill(os.getpid(), signal.SIGKILL if len(data) % 3 else signal.SIGABRT)

    tally = run(read, inputs=40)(tmp_path)
    inputs = [mutant(made_up(read), [HONEST], 5, number) for number in range(40)]
    deadly = [data for data in inputs if len(data) % 2 and data != HONEST]
    assert 5 < len(deadly) < 35
    assert (tally.inputs, tally.kinds["death"], tally.kinds["read"]) == (40, len(deadly), 40 - len(deadly))
    assert {key for _, key in tally.findings} == {"SIGKILL", "SIGABRT"}
    for finding in tally.findings.values():
        assert finding.data == inputs[finding.number]
        assert finding.data in deadly


def test_the_same_seed_gives_the_same_inputs_and_another_others():
    target = Target(name="made-up", honest=lambda _: [], read=refuses)
    inputs = [[mutant(target, [HONEST], seed, number) for number in range(50)] for seed in (1, 1, 2)]
    assert inputs[0] == inputs[1] != inputs[2]
    assert len(set(inputs[0])) > 40


def test_a_corpus_that_cannot_be_made_is_told(tmp_path):
    def honest(_folder):
        raise ValueError("no such library")

    target = Target(name="made-up", honest=honest, read=refuses)
    with pytest.raises(RuntimeError, match="no such library"):
        batch.run(target, shared=tmp_path, seed=0, first=0, seconds=1.0, inputs=1)
