"""Networks that remember their last pass are copied wherever the judge copies: as values, without its graph."""

import threading
from copy import deepcopy

import pytest
import torch
from torch import nn

from evalsuite.api import sweep
from evalsuite.data import load
from evalsuite.errors import UsageError
from evalsuite.networks.checkpoints._widths import narrow
from evalsuite.networks.copies import copied
from evalsuite.networks.digest import network_digest
from evalsuite.networks.transient import transient_buffers
from evalsuite.training import recalibrate, train
from evalsuite.training.standard import Standard
from pruners.magnitude import Magnitude

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture
def remembering(spiking, digits):
    network = spiking().eval()
    network(digits.train.pixels(range(3)))
    assert network.lif1.mem.grad_fn is not None
    with pytest.raises(RuntimeError, match="deepcopy"):
        deepcopy(network)
    return network


def test_a_copy_computes_the_same_and_shares_nothing(remembering, digits):
    images = digits.test.pixels(range(5))
    copy = copied(remembering)
    assert torch.equal(copy.lif1.mem, remembering.lif1.mem)
    assert torch.equal(copy(images), remembering(images))
    with torch.no_grad():
        copy.fc.weight.zero_()
    assert remembering.fc.weight.any()


def test_training_recalibration_and_narrowing_take_it(remembering, digits):
    kept = {name: tensor.clone() for name, tensor in remembering.state_dict().items()}
    examples = digits.train.select(range(60))
    early = []
    trained = train(
        remembering,
        examples,
        Standard(epochs=1, shift=0),
        seed=0,
        device=CPU,
        early=lambda _, student: early.append(copied(student)),
    )
    trained(digits.test.pixels(range(2)))
    measured = recalibrate(trained, examples, seed=0, device=CPU)
    assert not torch.equal(measured.norm.running_mean, trained.norm.running_mean)
    assert torch.equal(early[0].conv1.weight, remembering.conv1.weight)
    shapes = {"conv1.weight": (5, 1, 3, 3), "conv1.bias": (5,), "conv2.weight": (12, 5, 3, 3)}
    result = narrow(remembering, shapes)
    assert set(result.changed) == set(shapes)
    assert not result.misshapen
    assert result.network(digits.test.pixels(range(2))).shape == (2, 10)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in remembering.state_dict().items())


def test_a_sweep_judges_it_and_finds_it_again(remembering, digits, tmp_path, monkeypatch):
    membranes = remembering.lif1.mem

    def swept(**more):
        return sweep(remembering, digits, out=tmp_path, ratios=(0.5,), examples=10, accept_parent=True, **more).summary

    summary = swept(tasks=("clean",))
    # it has a batch norm, so that the parent with its statistics measured again stands beside
    ratios = {network["role"]: network["prune_ratio"] for network in summary["networks"]}
    assert ratios == pytest.approx({"parent": 0, "pruned": 0.5, "control": 0}, abs=1e-3)
    assert remembering.lif1.mem is membranes
    assert summary["complete"]
    assert all(cell["loss"] is not None for cell in summary["cells"])
    # another batch has gone through it since: it is the same network, and nothing is pruned again
    remembering(digits.test.pixels(range(7)))
    monkeypatch.setattr(Magnitude, "__call__", lambda *_, **__: pytest.fail("expected the network that is kept"))
    again = swept(tasks=("clean", "noise/uniform/0.1"), amend=True)
    assert [n["digest"] for n in again["networks"]] == [n["digest"] for n in summary["networks"]]
    assert again["complete"]


def test_what_a_network_remembers_is_told_from_constants(remembering):
    assert transient_buffers(remembering, (1, 8, 8)) == {"lif1.mem", "lif2.mem", "lif3.mem"}
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert transient_buffers(network, (1, 8, 8)) == frozenset()
    network.register_buffer("table", torch.arange(4), persistent=False)
    before = network_digest(network, (1, 8, 8))
    assert transient_buffers(network, (1, 8, 8)) == frozenset()
    network.table += 1
    assert network_digest(network, (1, 8, 8)) != before


def test_a_pass_does_not_change_who_a_network_is(remembering, digits):
    before = network_digest(remembering, (1, 8, 8))
    remembering(digits.train.pixels(range(9)))
    assert network_digest(remembering, (1, 8, 8)) == before
    with torch.no_grad():
        remembering.fc.weight[0, 0] += 1
    assert network_digest(remembering, (1, 8, 8)) != before


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_what_cannot_be_copied_is_a_mistake_of_the_user():
    network = nn.Sequential(nn.Linear(2, 2))
    network[0].log = threading.Event()
    with pytest.raises(UsageError, match=r"got .*Event in '0\.log' \(.+\): make it in forward"):
        copied(network)
    with pytest.raises(UsageError, match=r"got TorchScript.*: give its state_dict with --arch NAME"):
        copied(torch.jit.script(nn.Linear(2, 2)))
