"""The adversarial task judges: budget and range are checked, success is recomputed, flags are written down."""

import numpy as np
import pytest
import torch
from typing_extensions import override

from evalsuite.attacks import pgd
from evalsuite.data import Batch
from evalsuite.extend import Attack, Attacked, Domain, Flag
from evalsuite.process.third_party_code import OutputError
from evalsuite.tasks import adversarial
from evalsuite.tasks.adversarial import FLAGS, Adversarial


def batch(n=6):
    images = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return Batch(images=images, labels=torch.zeros(n).long(), ids=tuple(map(str, range(n))))


class Threshold(torch.nn.Module):
    """Class 0 while the mean is below 0.5."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, images):
        score = (images.flatten(1).mean(1) - 0.5) * self.scale
        return torch.stack([torch.zeros_like(score), score], dim=1)


def test_predictions_are_those_on_the_attacked_images():
    # L-infinity moves the mean by eps (no pixel is within eps of 0 or 1): survives iff mean + eps < 0.5
    images = torch.linspace(0.3, 0.6, 7)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    shard = Batch(images=images, labels=torch.zeros(7).long(), ids=tuple(map(str, range(7))))
    observed = Adversarial(eps=0.06, attack="pgd").observe([Threshold()], shard, seed=0)
    assert observed.networks[0]["prediction"].tolist() == [0, 0, 0, 1, 1, 1, 1]  # means .30 .35 .40 .45 .50 .55 .60
    assert (observed.networks[0]["flags"] == 0).all()


@pytest.mark.parametrize(("shift", "message"), [(0.2, "budget"), (2.0, "range|budget")])
def test_a_cheating_attack_is_caught(monkeypatch, shift, message):
    class Cheat(Attack):
        norms = ("linf",)

        @override
        def typical_steps(self):
            return 1

        @override
        def __call__(self, network, batch, budget, *, seed):
            return Attacked(images=batch.images + shift)

    monkeypatch.setattr(adversarial, "find", lambda *_: Cheat)
    # of a plug-in a user can leave it alone; of evalsuite itself it is a bug
    for module, kind in (("plugged.cheat", OutputError), ("evalsuite.attacks.cheat", AssertionError)):
        monkeypatch.setattr(Cheat, "__module__", module)
        with pytest.raises(kind, match=message):
            Adversarial(eps=0.1).observe([Threshold()], batch(), seed=0)


def test_flags_are_bits(monkeypatch):
    class Doubtful(Attack):
        norms = ("linf",)

        @override
        def typical_steps(self):
            return 1

        @override
        def __call__(self, network, batch, budget, *, seed):
            return Attacked(images=batch.images, flags=frozenset({Flag.RANDOMISED, Flag.DYNAMIC}))

    monkeypatch.setattr(adversarial, "find", lambda *_: Doubtful)
    recorded = Adversarial(eps=0.1).observe([Threshold()], batch(), seed=0)
    bits = 1 << FLAGS.index(Flag.RANDOMISED) | 1 << FLAGS.index(Flag.DYNAMIC)
    assert (recorded.networks[0]["flags"] == np.uint8(bits)).all()


def test_norms_of_the_attack_are_checked():
    with pytest.raises(ValueError, match="linf, l2"):
        Adversarial(norm="l1", attack="pgd")
    assert pgd.Pgd.norms == ("linf", "l2")


def test_one_class_is_refused():
    assert Adversarial().unsupported_reason(Domain(shape=(1, 8, 8), classes=1))
    assert Adversarial().unsupported_reason(Domain(shape=(1, 8, 8), classes=2)) is None


def test_no_attack_makes_a_wrong_answer_right(monkeypatch):
    class Kind(Attack):
        norms = ("linf",)

        @override
        def typical_steps(self):
            return 1

        @override
        def __call__(self, network, batch, budget, *, seed):
            return Attacked(images=(batch.images - budget.eps).clamp(0, 1))

    monkeypatch.setattr(adversarial, "find", lambda *_: Kind)
    # means 0.45 and 0.55, and 0.1 less under attack: right before and after; wrong before, right after
    images = torch.tensor([0.45, 0.55])[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    shard = Batch(images=images, labels=torch.zeros(2).long(), ids=("a", "b"))
    (noted,) = Adversarial(eps=0.1).observe([Threshold()], shard, seed=0).networks
    assert noted["prediction"].tolist() == [0, 1]
