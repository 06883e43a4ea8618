"""Others' code: what it raises is one line, what evalsuite raises stays what it is, what was changed is put back."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from evalsuite.attacks.pgd import Pgd
from evalsuite.data import Batch
from evalsuite.errors import RefusedInputError, TerminatedError
from evalsuite.extend import Budget
from evalsuite.networks.architectures.by_name import build
from evalsuite.networks.normalized import Normalized
from evalsuite.process.culprit import culprit, what_it_says
from evalsuite.process.third_party_code import OthersError, inside, others_code, users_code
from evalsuite.statistics import tango

_ROWS = "a network that gives one row of outputs, or one map of them, per image"


class UnspeakableError(Exception):
    def __str__(self):
        raise RuntimeError("it cannot be said")


class TwoLinesError(Exception):
    def __str__(self):
        return "first \x1b]0;title\x07 line\nsecond"


class Custom(nn.Module):
    """Raises what it is told to."""

    def __init__(self, error):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.error = error

    def forward(self, images):
        raise self.error


class Does(nn.Module):
    """Does something beside answering."""

    def __init__(self, deed):
        super().__init__()
        self.deed = deed
        self.linear = nn.Linear(4, 2)

    def forward(self, images):
        self.deed()
        return self.linear(images.flatten(1))


def wrapped(network):
    return Normalized(network, (0.0,), (1.0,)).eval()


def images(n=3, side=2):
    return torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("bad"), "ValueError: bad"),
        (KeyError("k"), "KeyError: 'k'"),
        (TwoLinesError(), r"TwoLinesError: first \x1b]0;title\x07 line ("),
        (UnspeakableError(), "UnspeakableError: (what it says cannot be read)"),
        (AssertionError(), "AssertionError ("),
        (SystemExit(0), "SystemExit: 0"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (StopIteration(1), "StopIteration: 1"),
        (GeneratorExit(), "GeneratorExit"),
        (OSError(2, "No such file", "x"), "FileNotFoundError: [Errno 2]"),
    ],
)
def test_what_a_network_raises_is_what_it_says(error, message):
    network = wrapped(Custom(error))
    with pytest.raises(OthersError) as caught, others_code("clean, examples 0 to 2", networks={"x": network, "y": 0}):
        network(images())
    line = str(caught.value)
    assert line.startswith("x, clean, examples 0 to 2: expected the network to run, got ")
    assert message in line
    assert "(test_third_party_code.py, line " in line
    assert line.endswith("--debug shows the traceback")
    assert line.isprintable()
    assert caught.value.__cause__ is error
    assert caught.value.exit_code == 2


def test_a_network_of_torchs_layers_alone_is_the_network():
    network = wrapped(nn.Sequential(nn.Flatten(), nn.Linear(9, 2)))
    with pytest.raises(OthersError, match=r"expected the network to run, got RuntimeError: .*shapes"), others_code("x"):
        network(images())


def test_errors_of_evalsuite_stay_what_they_are():
    with pytest.raises(TypeError), others_code("deciding"):
        tango.upper("one", 0, 10, confidence=0.9)
    # a built-in network is evalsuite's own, whatever is wrong with what it is handed
    normalized = wrapped(build("lenet5", classes=10, channels=1, image_size=8))
    with pytest.raises(RuntimeError, match="channels"), others_code("x", networks={"parent": normalized}):
        normalized(torch.zeros(1, 3, 8, 8))
    with pytest.raises(RefusedInputError, match=r"^as it is$"), others_code("x"):
        raise RefusedInputError("as it is")
    # an error of evalsuite's own behind others' code that did its work
    with pytest.raises(TypeError), others_code("x", networks={"parent": 0}):  # noqa: PT012 - both inside
        wrapped(Does(lambda: None))(images())
        tango.upper(None, 0, 10, confidence=0.9)


def test_a_network_that_runs_is_left_alone():
    with others_code("x"):
        assert wrapped(Does(lambda: None))(images()).shape == (3, 2)


def test_a_backward_pass_that_fails_is_the_networks():
    class Detached(nn.Module):
        def forward(self, images):
            return images.detach().flatten(1)

    batch = Batch(images=images(), labels=torch.zeros(3, dtype=torch.long), ids=("1", "2", "3"))
    network = wrapped(Detached())
    with (
        pytest.raises(
            OthersError, match=r"^parent, pgd: expected the network's backward pass to run, got RuntimeError"
        ),
        others_code("pgd", networks={"parent": network}),
    ):
        Pgd()(network, batch, Budget(norm="linf", eps=0.1), seed=0)


@pytest.mark.parametrize(
    ("answer", "messages"),
    [
        (lambda x: (x, x), "expected a network that gives one tensor, got tuple"),
        (lambda _: None, "expected a network that gives one tensor, got NoneType"),
        (
            lambda x: x.flatten(1)[:-1],
            f"expected {_ROWS}, got shape 2x4 for 3",
        ),
        (
            lambda x: x.sum(),
            f"expected {_ROWS}, got a single number for 3",
        ),
        (lambda x: x.to(torch.complex64), "expected a network that gives real numbers, got torch.complex64"),
        (lambda x: x.to("meta"), "expected outputs on the device of the images, cpu, got meta"),
    ],
)
def test_outputs_that_are_none(answer, messages):
    class Answers(nn.Module):
        def forward(self, images):
            return answer(images)

    network = wrapped(Answers())
    with pytest.raises(OthersError) as caught, others_code("clean", networks={"parent": network, "other": 0}):
        network(images())
    assert str(caught.value).startswith(f"parent, clean: {messages}"), caught.value


def test_a_boundary_further_out_names_the_network():
    network = wrapped(Custom(ValueError("bad")))
    with pytest.raises(OthersError) as caught, others_code("", networks={"magnitude-0-0.5": None}):  # noqa: SIM117
        with others_code("--pruner x cannot prune this network"):
            network(images())
    assert str(caught.value).startswith("magnitude-0-0.5, --pruner x cannot prune this network: expected the network")
    assert isinstance(caught.value.__cause__, ValueError)


def test_too_little_memory_says_what_to_do():
    class Large(nn.Module):
        def forward(self, images):
            return images.new_empty(1 << 50)

    with pytest.raises(OthersError, match=r"expected enough memory, got RuntimeError.*--device cpu"), others_code("x"):
        wrapped(Large())(images())


@pytest.fixture
def heard():
    """Interruptions, which whatever runs in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_a_real_interruption_is_no_failure_of_the_network():
    def interrupted():
        signal.raise_signal(signal.SIGINT)

    def made_an_exit_of():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            sys.exit(0)

    def terminated():
        raise TerminatedError

    for deed, kind in (
        (interrupted, KeyboardInterrupt),
        (made_an_exit_of, KeyboardInterrupt),
        (terminated, TerminatedError),
    ):
        with pytest.raises(kind), others_code("x"):
            wrapped(Does(deed))(images())
        with pytest.raises(kind), users_code("expected x"):
            wrapped(Does(deed))(images())


def test_what_was_changed_is_put_back(tmp_path, capsys):
    folder, handler = Path.cwd(), signal.getsignal(signal.SIGINT)
    out, err, threads = sys.stdout, sys.stderr, torch.get_num_threads()

    def deed():
        os.chdir(tmp_path)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stdout.write("for the user\n")
        sys.stdout.close()
        sys.stdout = sys.stderr = None
        torch.set_num_threads(threads + 1)
        torch.use_deterministic_algorithms(True)
        torch.set_float32_matmul_precision("medium")
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)

    with others_code("x"):
        answer = wrapped(Does(deed))(images())
        # what follows in the same task computes as before
        assert torch.get_default_dtype() == torch.float32
        assert torch.is_grad_enabled()
    assert answer.dtype == torch.float32
    assert (Path.cwd(), signal.getsignal(signal.SIGINT)) == (folder, handler)
    assert sys.stdout is out
    assert sys.stderr is err
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == "highest"
    sys.stdout.write("still open\n")
    assert capsys.readouterr() == ("still open\n", "for the user\n")


def test_what_a_factory_changed_is_put_back_within_a_boundary(tmp_path):
    folder = Path.cwd()
    with others_code("reading"):
        with users_code("expected x"):
            os.chdir(tmp_path)
            torch.set_default_dtype(torch.float64)
        assert (Path.cwd(), torch.get_default_dtype()) == (folder, torch.float32)
        assert inside()
    assert not inside()


def test_a_boundary_costs_next_to_nothing():
    def seconds():
        began = time.perf_counter()
        for _ in range(100):
            with others_code("x"):
                pass
        return (time.perf_counter() - began) / 100

    # of a shard, which takes milliseconds at least; the least of many, since others work on the machine too
    assert min(seconds() for _ in range(20)) < 1e-3


def test_what_is_said_is_cut():
    assert len(what_it_says(ValueError("x" * 10_000))) < 400
    assert what_it_says(ValueError("")) == "ValueError"


def test_an_error_that_nobody_raised_is_evalsuites():
    assert culprit(ValueError("never raised")) is None
