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
from evalsuite.networks.transient_buffers import remembered
from evalsuite.training import recalibrate, train
from evalsuite.training.standard import Standard
from pruners._copies import copied as copied_by_pruners
from pruners.magnitude import Magnitude

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


def test_of_other_networks_a_copy_is_the_deep_copy():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    network[0].weight.requires_grad_(requires_grad=False)
    twin = nn.Sequential(network, network[0])  # a layer in two places stays one
    made, expected = copied(twin), deepcopy(twin)
    assert made[0][0] is made[1]
    assert [p.requires_grad for p in made.parameters()] == [p.requires_grad for p in expected.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(made.buffers(), expected.buffers(), strict=True))


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
    found = narrow(remembering, shapes)
    assert set(found.changed) == set(shapes)
    assert not found.misshapen
    assert found.network(digits.test.pixels(range(2))).shape == (2, 10)
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
    assert remembered(remembering, (1, 8, 8)) == {"lif1.mem", "lif2.mem", "lif3.mem"}
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert remembered(network, (1, 8, 8)) == frozenset()
    network.register_buffer("table", torch.arange(4), persistent=False)
    before = network_digest(network, (1, 8, 8))
    assert remembered(network, (1, 8, 8)) == frozenset()
    network.table += 1
    assert network_digest(network, (1, 8, 8)) != before


def test_a_pass_does_not_change_who_a_network_is(remembering, digits):
    before = network_digest(remembering, (1, 8, 8))
    remembering(digits.train.pixels(range(9)))
    assert network_digest(remembering, (1, 8, 8)) == before
    with torch.no_grad():
        remembering.fc.weight[0, 0] += 1
    assert network_digest(remembering, (1, 8, 8)) != before


class _Holding(nn.Module):
    """A layer that holds something beside its tensors."""

    def __init__(self, **held):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.fc(x)


def _condition_alone():
    return {"ready": threading.Condition()}


def _condition_on_a_lock():
    lock = threading.Lock()
    return {"lock": lock, "again": threading.RLock(), "ready": threading.Condition(lock)}


@pytest.mark.parametrize("copy", [copied, copied_by_pruners])
@pytest.mark.parametrize("held", [_condition_alone, _condition_on_a_lock])
def test_locks_and_conditions_are_made_anew(copy, held):
    network = nn.Sequential(_Holding(**held()))
    with network[0].ready:  # a lock that is held when the copy is made
        twin = copy(network)[0]
        assert twin.ready.acquire(blocking=False)
        twin.ready.notify_all()  # raises where its lock is not the one that was acquired
        twin.ready.release()
    assert torch.equal(twin.fc.weight, network[0].fc.weight)
    for name in held():
        assert type(getattr(twin, name)) is type(getattr(network[0], name))
        assert getattr(twin, name) is not getattr(network[0], name)
    if hasattr(twin, "lock"):
        with twin.lock:
            twin.ready.notify_all()


def test_what_cannot_be_copied_is_named(tmp_path):
    with (tmp_path / "log.txt").open("w") as file:
        held = {"an open file": file, "generator": (each for each in "abc"), "Event": threading.Event()}
        held |= {"list": [file], "dict": {"a": file}}
        for words, value in held.items():
            network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(_Holding(log=value)))
            with pytest.raises(UsageError, match=rf"got .*{words} in '1\.0\.log' \(.+\): make it in forward"):
                copied(network)


class Keeping(nn.Sequential):
    """Remembers maps of its last pass in containers."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
        self.maps, self.listed = {}, [[]]

    def forward(self, images):
        self.maps["first"] = self[0](images)
        self.listed[0] = [self.maps["first"].relu()]
        return super().forward(images)


@pytest.mark.parametrize("copy", [copied, copied_by_pruners])
def test_what_is_remembered_in_containers_is_copied_as_values(copy):
    network = Keeping()
    images = torch.rand(3, 1, 8, 8)
    expected = network(images)
    made = copy(network)
    assert torch.equal(made.maps["first"], network.maps["first"])
    assert torch.equal(made.listed[0][0], network.listed[0][0])
    assert made.maps["first"].is_leaf
    assert not network.maps["first"].is_leaf
    assert torch.equal(made(images), expected)
