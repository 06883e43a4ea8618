"""Networks, data and plug-ins of others that fail: one line that names them, whatever they raise, wherever it is."""

import os
import subprocess
import sys
import traceback

import pytest
import torch

from evalsuite.networks.normalized import Normalized
from evalsuite.process.third_party_code import inside

pytestmark = pytest.mark.slow

SOURCE = """
import sys
import torch
from torch import nn
from evalsuite.data import load

ERRORS = {
    "value": lambda: ValueError("bad value"), "exit": lambda: SystemExit(0), "interrupt": KeyboardInterrupt,
    "stop": lambda: StopIteration(1), "memory": MemoryError,
}


class Net(nn.Module):
    def __init__(self, classes, channels, error, when):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(channels, 4, 3), nn.Linear(144, classes)
        self.error, self.when = error, when

    def forward(self, x):
        print("for the user")
        n, out = len(x), self.linear(self.conv(x).relu().flatten(1))
        when = {
            "odd": n % 2 and n > 2, "noise": n % 2 and n > 2 and not bool((x * 16).frac().eq(0).all()),
            "training": self.training, "gradients": x.requires_grad and n > 1,
        }
        if not when[self.when]:
            return out
        if self.error in ERRORS:
            raise ERRORS[self.error]()
        return {"tuple": (out, out), "none": None, "short": out[1:]}[self.error]


def net(classes=10, channels=1, error="value", when="odd"):
    return Net(classes, channels, error, when)


def item():
    class Pairs:
        def __len__(self):
            return 5

        def __getitem__(self, index):
            if index == 3:
                sys.exit(0)
            return torch.zeros(1, 8, 8), 0

    return None, Pairs()


def stops():
    raise KeyboardInterrupt


def moves():
    import os

    os.chdir("/")
    torch.set_default_dtype(torch.float64)
    return load("digits")
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "faulty.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import faulty

    torch.save(faulty.net().state_dict(), "net.pt")
    yield tmp_path
    sys.modules.pop("faulty", None)


def sweep(error, when, *more, tasks="clean,noise/uniform/0.1", data="digits"):
    arch = ("--arch", f"faulty:net?error={error}&when={when}", "--data", data, "--threads", "1", "--accept-parent")
    return ("sweep", "--ckpt", "net.pt", *arch, "--ratios", "0.5", "--tasks", tasks, "--examples", "31", *more)


@pytest.mark.parametrize(
    ("error", "when", "message"),
    [
        (
            "value",
            "odd",
            "parent, judging it on clean examples: expected the network to run, got ValueError: bad value",
        ),
        ("exit", "odd", "expected the network to run, got SystemExit: 0 (faulty.py, line "),
        ("interrupt", "odd", "expected the network to run, got KeyboardInterrupt (faulty.py, line "),
        ("stop", "odd", "expected the network to run, got StopIteration: 1 (faulty.py, line "),
        ("memory", "odd", "expected enough memory, got MemoryError; free some, or compute elsewhere (--device cpu)"),
        ("none", "odd", "expected a network that gives one tensor, got NoneType"),
        ("short", "odd", "per image, got shape 30x10 for 31"),
    ],
)
def test_a_network_that_fails(evalsuite, place, error, when, message):
    ended = evalsuite(*sweep(error, when, "--out", "run"))
    assert ended.code == 2, ended.err
    assert message in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_a_network_that_fails_in_training_only(evalsuite, place):
    for error, messages in (
        ("exit", "expected the network to run, got SystemExit: 0"),
        ("tuple", "gives one tensor, got"),
    ):
        ended = evalsuite(*sweep(error, "training", "--retrain", "standard", "--epochs", "1", "--out", error))
        last = ended.err.splitlines()[-1]
        assert ended.code == 2, ended.err
        assert "magnitude-0-0.5, --retrain standard?epochs=1 cannot train this network: expected" in last
        assert messages in last


def test_a_task_that_fails_leaves_the_others_be(evalsuite, place):
    tasks = "adversarial/linf/0.05?attack=pgd,clean,noise/uniform/0.1"
    ended = evalsuite(*sweep("interrupt", "gradients", "--out", "run", "--json", tasks=tasks))
    last = ended.err.splitlines()[-1]
    assert ended.code == 2, ended.err
    assert "parent, adversarial/linf/0.05?attack=pgd, examples 0 to 30: expected the network to run, got Keyb" in last
    assert "--tasks, with --amend" in last
    assert ended.out == ""
    assert not (place / "run" / "results.json").exists()
    # the others are done: what is left out is all that was missing
    without = evalsuite(*sweep("interrupt", "gradients", "--out", "run", "--json", "--amend"))
    assert without.code == 0, without.err
    assert "Evaluating" not in without.err
    # what a network prints is not for those who read results
    assert without.out.startswith("{")


def test_debug_shows_the_traceback(evalsuite, place, monkeypatch):
    for where in ("before", "behind", "environment"):
        command = sweep("value", "odd", "--out", where)
        if where == "environment":
            monkeypatch.setenv("EVALSUITE_DEBUG", "1")
        given = {"before": ("--debug", *command), "behind": (*command, "--debug"), "environment": command}[where]
        ended = evalsuite(*given)
        assert ended.code == 2
        assert "ValueError: bad value\n\nThe above exception was the direct cause" in ended.err
        assert ended.err.splitlines()[-1].startswith("evalsuite: parent, judging it")


@pytest.mark.parametrize(
    ("factory", "sentence"),
    [
        ("item", "expected test of faulty:item to hold pairs (image, label), got SystemExit: 0 (faulty.py, line "),
        (
            "stops",
            "expected faulty:stops to run without arguments and return a data set, got KeyboardInterrupt (faulty",
        ),
    ],
)
def test_data_that_fail(evalsuite, place, factory, sentence):
    ended = evalsuite(*sweep("value", "odd", "--out", "run", data=f"faulty:{factory}"))
    assert ended.code == 2, ended.err
    assert sentence in ended.err.splitlines()[-1]


def test_data_that_change_the_process(evalsuite, place):
    ended = evalsuite(*sweep("value", "training", "--out", "run", data="faulty:moves"))
    assert ended.code == 0, ended.err
    assert (place / "run" / "results.json").is_file()  # beside where the command was typed
    assert torch.get_default_dtype() == torch.float32


PLUGINS = """
from dataclasses import dataclass
import torch
from evalsuite.attacks._base import Attack, Attacked
from evalsuite.corruptions._base import Corruption
from evalsuite.measures._base import Measure
from evalsuite.measures._columns import PREDICTION
from evalsuite.tasks._base import Task
from evalsuite.training.standard import Standard
from pruners import Pruner
from pruners.regularisers import Regulariser


@dataclass(frozen=True, kw_only=True)
class Builds(Pruner):
    structure = "weights"

    def __post_init__(self):
        raise LookupError("not today")

    def __call__(self, network, *, keep, context): ...


@dataclass(frozen=True, kw_only=True)
class Nothing(Pruner):
    structure = "weights"

    def __call__(self, network, *, keep, context): ...


@dataclass(frozen=True, kw_only=True)
class Leaves(Pruner):
    structure = "weights"

    def __call__(self, network, *, keep, context):
        raise SystemExit(0)


@dataclass(frozen=True, kw_only=True)
class Asks(Task):
    version = 1
    usage = ("asks",)

    def observe(self, networks, shard, *, seed):
        raise LookupError("nobody answers")


@dataclass(frozen=True, kw_only=True)
class Void(Task):
    version = 1
    usage = ("void",)
    def observe(self, networks, shard, *, seed): ...


@dataclass(frozen=True, kw_only=True)
class Half(Task):
    def observe(self, networks, shard, *, seed): ...


@dataclass(frozen=True, kw_only=True)
class Idea(Pruner):
    structure = "weights"


@dataclass(frozen=True, kw_only=True)
class Far(Attack):
    norms = ("linf",)

    def typical_steps(self):
        return 1

    def __call__(self, network, batch, budget, *, seed):
        return Attacked(images=torch.ones_like(batch.images))


@dataclass(frozen=True, kw_only=True)
class Lost(Corruption):
    group = "noise"
    severity: int = 3

    def __call__(self, images, keys):
        return images * torch.nan


@dataclass(frozen=True, kw_only=True)
class Reads(Measure):
    needs = (PREDICTION,)
    title = "reads"

    def __call__(self, child, parent, known, readings):
        raise ZeroDivisionError("no examples")


@dataclass(frozen=True, kw_only=True)
class Adds(Regulariser):
    weight: float = 1.0

    def __call__(self, network, images, labels):
        return "much"


@dataclass(frozen=True, kw_only=True)
class Trains(Standard):
    def loss(self, network, images, labels, generator):
        return None, None
"""
ENTRIES = """[evalsuite.pruners]
absent = plugged:Absent
breaks = breaking:Part
builds = plugged:Builds
nothing = plugged:Nothing
leaves = plugged:Leaves
idea = plugged:Idea
[evalsuite.tasks]
asks = plugged:Asks
void = plugged:Void
half = plugged:Half
[evalsuite.attacks]
far = plugged:Far
[evalsuite.corruptions]
lost = plugged:Lost
[evalsuite.measures]
reads = plugged:Reads
[evalsuite.pruners.regularisers]
adds = plugged:Adds
[evalsuite.training]
trains = plugged:Trains
"""
CASES = (
    ("--pruner absent", "expected entry point 'absent' of plugged 1.0 to be imported from plugged:Absent, got Attribu"),
    ("--pruner breaks", "expected entry point 'breaks' of plugged 1.0 to be imported from breaking:Part, got SystemEx"),
    ("--pruner idea", "expected entry point 'idea' of plugged 1.0 to be a whole part, got one without __call__"),
    ("--tasks half", "expected entry point 'half' of plugged 1.0 to be a whole part, got one without version"),
    ("--pruner builds", "'builds': expected plugged to run, got LookupError: not today (plugged.py, line "),
    ("--pruner nothing", "--pruner nothing cannot prune this network: expected Nothing to give a pruned copy of the n"),
    ("--pruner leaves", "leaves-0-0.5, --pruner leaves cannot prune this network: expected plugged to run, got System"),
    ("--tasks asks", "asks, examples 0 to 19: expected plugged to run, got LookupError: nobody answers (plugged.py, l"),
    ("--tasks void", "void, examples 0 to 19: expected a task that gives observations of each of 2 networks, got Non"),
    (
        "--tasks adversarial/linf/0.1?attack=far",
        "expected the attack far to keep to its contract, got one that left its bu",
    ),
    ("--tasks corruption/lost/3", "expected the corruption lost to give images in [0, 1], got values from nan to nan"),
    ("--tasks clean --measures reads", "reading measures off what was observed: expected plugged to run, got ZeroDiv"),
    ("--retrain standard --epochs 1 --regularise adds", "expected a penalty that is one number, got str"),
    ("--retrain trains --epochs 1", "expected the recipe Trains to give one loss that has a gradient, got NoneType"),
)
DRIVER = """
import contextlib, io, json, sys
from evalsuite.cli import cli
from evalsuite.cli._console import guarded

ended = []
for number, options in enumerate(json.loads(sys.argv[1])):
    base = ["sweep", "--ckpt", sys.argv[2], "--ratios", "0.5", "--examples", "20", "--threads", "1"]
    given = options.split() + ([] if "--tasks" in options else ["--tasks", "clean"])
    sys.argv[3:] = []
    argv, sys.argv = sys.argv, ["evalsuite", *base, "--accept-parent", "--out", f"run-{number}", *given]
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        try:
            guarded(cli)
        except SystemExit as error:
            code = error.code
    sys.argv = argv
    ended.append([code, err.getvalue()])
print(json.dumps(ended))
"""


def test_plug_ins_that_fail(checkpoint, tmp_path):
    """A real distribution, asked in one process for every fault in turn."""
    import json

    packages = tmp_path / "site-packages"
    facts = packages / "plugged-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(ENTRIES)
    (packages / "plugged.py").write_text(PLUGINS)
    (packages / "breaking.py").write_text("import sys\nsys.exit(0)\n")
    path = os.pathsep.join(filter(None, [str(packages), os.environ.get("PYTHONPATH", "")]))
    requested = json.dumps([options for options, _ in CASES])
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, requested, str(checkpoint)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for (options, wording), (code, err) in zip(CASES, json.loads(done.stdout), strict=True):
        assert (code, "Traceback" in err) == (2, False), (options, err)
        assert wording in err.splitlines()[-1], (options, err)


def test_no_command_calls_a_network_outside_of_a_boundary(evalsuite, checkpoint, tmp_path, monkeypatch):
    """As the lint cannot see who calls whom: every forward pass of every command is watched."""
    bare, forward = [], Normalized.forward

    def watched(self, images):
        if not inside():
            bare.append("".join(traceback.format_stack()[-8:-1]))
        return forward(self, images)

    monkeypatch.setattr(Normalized, "forward", watched)
    tasks = "clean,noise/uniform/0.1,corruption/fog/1,adversarial/linf/0.01?attack=pgd,bounds/linf/0.01,ood/noise"
    request = ("--tasks", tasks, "--examples", "20", "--threads", "1", "--accept-parent")
    made = ("--ratios", "0.5", "--retrain", "standard", "--epochs", "1", "--controls", "dense,random")
    for command in (
        ("sweep", "--ckpt", checkpoint, *made, *request, "--out", tmp_path / "run"),
        ("prune", "--ckpt", checkpoint, "--ratios", "0.5", "--budget", "flops", "--out", tmp_path / "pruned"),
        (
            "evaluate",
            "--parent",
            checkpoint,
            "--shipped",
            f"parent={checkpoint}",
            *request,
            "--out",
            tmp_path / "judged",
        ),
        ("plan", "--ckpt", checkpoint, *made, *request[:6]),
        ("doctor", "--ckpt", checkpoint),
        ("show", checkpoint),
        ("train", "--arch", "lenet5", "--data", "digits", "--epochs", "1", "--out", tmp_path / "net.safetensors"),
    ):
        ended = evalsuite(*command)
        assert ended.code in {0, 3}, (command, ended.err)
    assert not bare, "\n".join(dict.fromkeys(bare))
