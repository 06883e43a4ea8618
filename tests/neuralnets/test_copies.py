"""Deep copies of networks that hold more than tensors."""

import threading
from copy import deepcopy

import pytest
import torch
from torch import nn

from neuralnets.copies import ScriptedError, UncopyableError, copied


def test_of_other_networks_a_copy_is_the_deep_copy():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    network[0].weight.requires_grad_(requires_grad=False)
    twin = nn.Sequential(network, network[0])  # a layer in two places stays one
    made, expected = copied(twin), deepcopy(twin)
    assert made[0][0] is made[1]
    assert [p.requires_grad for p in made.parameters()] == [p.requires_grad for p in expected.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(made.buffers(), expected.buffers(), strict=True))


def test_the_values_of_a_pass_with_gradients_are_copied_without_its_graph(spiking):
    network, images = spiking().eval(), torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network(images)
    with pytest.raises(RuntimeError, match="deepcopy"):
        deepcopy(network)
    copy = copied(network)
    assert copy.lif1.mem.is_leaf
    assert torch.equal(copy.lif1.mem, network.lif1.mem)
    assert torch.equal(copy(images), network(images))


def test_compiled_networks_are_copied_without_their_wrapper():
    network = nn.Linear(2, 2)
    made = copied(nn.Sequential(torch.compile(network, backend="eager")))
    assert type(made[0]) is nn.Linear
    assert torch.equal(made[0].weight, network.weight)
    assert made[0].weight is not network.weight


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_refused():
    with pytest.raises(ScriptedError, match=r"got TorchScript \(scripted or traced\) in 0$"):
        copied(nn.Sequential(torch.jit.script(nn.Linear(2, 2))))


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


@pytest.mark.parametrize("held", [_condition_alone, _condition_on_a_lock])
def test_locks_and_conditions_are_made_anew(held):
    network = nn.Sequential(_Holding(**held()))
    with network[0].ready:  # a lock that is held when the copy is made
        twin = copied(network)[0]
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
            with pytest.raises(UncopyableError, match=rf"got .*{words} in '1\.0\.log' \(.+\): make it in forward"):
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


def test_what_is_remembered_in_containers_is_copied_as_values():
    network = Keeping()
    images = torch.rand(3, 1, 8, 8)
    expected = network(images)
    made = copied(network)
    assert torch.equal(made.maps["first"], network.maps["first"])
    assert torch.equal(made.listed[0][0], network.listed[0][0])
    assert made.maps["first"].is_leaf
    assert not network.maps["first"].is_leaf
    assert torch.equal(made(images), expected)
