"""AutoAttack through our wrapper equals calling pyautoattack directly."""

import pyautoattack
import pytest
import torch
from torch import nn

from evalsuite.attacks import _stages as stages
from evalsuite.attacks import autoattack
from evalsuite.attacks._validity import zero_gradient
from evalsuite.attacks.autoattack import Autoattack
from evalsuite.attacks.square import Square
from evalsuite.extend import Batch, Budget, Flag

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_equals_pyautoattack_in_other_norms(norm, monkeypatch):
    network, eps = small(4), {"l2": 0.12, "l1": 0.5}[norm]
    examples = batch(network, n=6)
    short = {"n_iter": 10, "n_queries": 30}
    made = stages.engine

    def quick(*args):
        return shortened(made(*args), **short)

    monkeypatch.setattr(autoattack, "engine", quick)
    ours = Autoattack()(network, examples, Budget(norm=norm, eps=eps), seed=5).images
    theirs = pyautoattack.AutoAttack(network, norm=norm.upper(), eps=eps, seed=5)
    theirs.apgd_targeted.n_target_classes = theirs.fab.n_target_classes = 3
    with torch.random.fork_rng():
        expected, _ = shortened(theirs, **short).run_standard_evaluation(examples.images, examples.labels, batch_size=6)
    assert torch.equal(ours, expected)
    assert not torch.equal(ours, examples.images)


def shortened(attacks, *, n_iter, n_queries):
    for attack in (attacks.apgd, attacks.apgd_targeted, attacks.fab):
        attack.n_iter = n_iter
    attacks.square.n_queries = n_queries
    return attacks


def test_what_only_square_breaks_is_told(monkeypatch):
    class Masked(nn.Module):
        """Rounds its input, so that gradients are zero; the black box sees through it."""

        def __init__(self):
            super().__init__()
            self.inner = small(10)

        def forward(self, x):
            return self.inner((x * 4).round() / 4)

    network = Masked().eval()
    examples = batch(network, n=16)
    made = stages.engine
    monkeypatch.setattr(autoattack, "engine", lambda *args: shortened(made(*args), n_iter=5, n_queries=300))
    result = Autoattack()(network, examples, Budget(norm="linf", eps=0.08), seed=0)
    broken = network(result.images).argmax(1) != examples.labels
    assert result.black_box.any()
    assert not (result.black_box & ~broken).any()
    assert zero_gradient(network, examples).all()


def test_square_alone():
    network = small(10)
    examples = batch(network)
    outcome = Square(queries=100)(network, examples, Budget(norm="linf", eps=0.1), seed=0).images
    with torch.random.fork_rng():
        alone = pyautoattack.square.SquareAttack(network, norm="Linf", eps=0.1, n_queries=100, seed=0, device="cpu")
        expected = alone.perturb(examples.images, examples.labels)
    broken = network(outcome).argmax(1) != examples.labels
    assert torch.equal(network(expected).argmax(1) != examples.labels, broken)
    assert broken.any()
    assert torch.equal(outcome[broken], expected[broken])
    with pytest.raises(ValueError, match="expected queries >= 1, got 0"):
        Square(queries=0)


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
def test_few_classes(classes):
    network = small(classes)
    examples = batch(network, n=4)
    actual = Autoattack()(network, examples, Budget(norm="linf", eps=0.3), seed=0)
    assert (network(actual.images).argmax(1) != examples.labels).any()
    assert not actual.flags & {Flag.DYNAMIC, Flag.RANDOMISED}


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
