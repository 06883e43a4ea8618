"""AutoAttack through our wrapper equals calling pyautoattack directly."""

import pyautoattack
import pytest
import torch
from torch import nn

from evalsuite.attacks._base import Budget, Flag
from evalsuite.attacks.autoattack import Autoattack
from evalsuite.data._base import Batch


def small(classes, seed=0):
    with torch.random.fork_rng():
        torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, classes))
    return network.eval().requires_grad_(False)


def batch(network, n=12, seed=1):
    images = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return Batch(images=images, labels=network(images).argmax(1), ids=tuple(map(str, range(n))))


def test_equals_pyautoattack():
    network = small(10)
    examples = batch(network)
    ours = Autoattack()(network, examples, Budget(norm="linf", eps=0.02), seed=5).images
    with torch.random.fork_rng():
        theirs, _ = pyautoattack.AutoAttack(network, norm="Linf", eps=0.02, seed=5).run_standard_evaluation(
            examples.images, examples.labels, batch_size=12
        )
    assert torch.equal(ours, theirs)
    assert 0 < (network(ours).argmax(1) == examples.labels).sum() < 12


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
def test_few_classes(classes):
    network = small(classes)
    examples = batch(network, n=4)
    found = Autoattack()(network, examples, Budget(norm="linf", eps=0.3), seed=0)
    assert (network(found.images).argmax(1) != examples.labels).any()
    assert not found.flags & {Flag.DYNAMIC, Flag.RANDOMISED}


def test_flags_are_told():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = small(10)

        def forward(self, x):
            return self.inner(x + 0.1 * torch.rand_like(x))

    class Probabilities(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = small(10)

        def forward(self, x):
            return self.inner(x).softmax(1)

    for network, flag in ((Noisy(), Flag.RANDOMISED), (Probabilities(), Flag.PROBABILITIES)):
        examples = batch(network, n=2)
        assert flag in Autoattack()(network, examples, Budget(norm="linf", eps=0.5), seed=0).flags


def test_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    network = small(10)
    Autoattack()(network, batch(network, n=2), Budget(norm="linf", eps=0.3), seed=0)
    assert torch.equal(torch.get_rng_state(), before)
