"""Certificates against the closed form on linear networks, against sampled images, and against an attack that lies."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from evalsuite.data import Batch
from evalsuite.extend import Attack, Attacked, Domain
from evalsuite.tasks import bounds as module
from evalsuite.tasks.bounds import ABSTAIN, Bounds

SHAPE = (1, 6, 6)


def batch(network, n=40, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, *SHAPE, generator=generator)
    with torch.no_grad():
        labels = network(images).argmax(1)
    labels[::4] = (labels[::4] + 1) % 3
    return Batch(images=images, labels=labels, ids=tuple(f"{number:04x}" for number in range(n)))


def network(seed=0):
    generator = torch.Generator().manual_seed(seed)
    made = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        for parameter in made.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / fan_in) ** 0.5)
    return made.eval().requires_grad_(requires_grad=False)


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.layer = nn.Linear(36, 3)
        with torch.no_grad():
            self.layer.weight.copy_(torch.randn(3, 36, generator=generator))
            self.layer.bias.copy_(-self.layer.weight.sum(1) / 2)

    def forward(self, images):
        return self.layer(images.flatten(1))


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.01), ("linf", 0.04), ("l2", 0.05), ("l2", 0.2)])
def test_linear_network_has_a_closed_form(norm, eps):
    linear = Linear().requires_grad_(requires_grad=False)
    examples = batch(linear)
    # images far enough from 0 and 1 that the ball is whole
    examples = Batch(images=examples.images * 0.6 + 0.2, labels=examples.labels, ids=examples.ids)
    logits, rows = linear(examples.images), linear.layer.weight
    top = logits.argmax(1)
    order = {"linf": 1, "l2": 2}[norm]
    gaps, reach = logits.gather(1, top[:, None]) - logits, (rows[top][:, None] - rows).norm(order, dim=2) * eps
    others = F.one_hot(top, 3) == 0
    expected = ((gaps > reach) | ~others).all(1)
    (observed,) = Bounds(norm=norm, eps=eps).observe([linear], examples, seed=0).networks
    np.testing.assert_array_equal(observed["prediction"], torch.where(expected, top, ABSTAIN).numpy())
    np.testing.assert_array_equal(observed["top"], top.numpy())
    assert 0 < expected.sum() < len(expected)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_sampled_image_of_a_certified_ball_is_given_another_class(norm):
    net, eps = network(), {"linf": 0.08, "l2": 0.4}[norm]
    examples = batch(net)
    (recorded,) = Bounds(norm=norm, eps=eps).observe([net], examples, seed=0).networks
    certified = torch.from_numpy(recorded["prediction"] != ABSTAIN)
    assert 0 < certified.sum() < len(certified)
    generator = torch.Generator().manual_seed(5)
    for _ in range(200):
        move = torch.randn(len(examples), *SHAPE, generator=generator)
        move = move.sign() if norm == "linf" else move / move.flatten(1).norm(dim=1)[:, None, None, None]
        there = net((examples.images + eps * move).clamp(0, 1)).argmax(1).numpy()
        np.testing.assert_array_equal(there[certified], recorded["prediction"][certified])


def test_tighter_methods_certify_no_less_and_the_attack_brackets_them():
    net = network()
    examples = batch(net)
    result = {}
    for method in ("interval", "crown-ibp", "crown"):
        (noted,) = Bounds(eps=0.08, method=method).observe([net], examples, seed=0).networks
        result[method] = noted["prediction"] != ABSTAIN
        right = noted["top"] == examples.labels.numpy()
        assert not (noted["survives"] & ~right).any()
        assert not (result[method] & right & ~noted["survives"]).any()
    assert not (result["interval"] & ~result["crown-ibp"]).any()
    assert not (result["crown-ibp"] & ~result["crown"]).any()
    assert result["interval"].sum() < result["crown"].sum()


def test_examples_know_nothing_of_their_neighbours():
    net, task = network(), Bounds(eps=0.08)
    examples = batch(net, n=12)
    (whole,) = task.observe([net], examples, seed=0).networks
    parts = [
        task.observe(
            [net],
            Batch(images=examples.images[i : i + k], labels=examples.labels[i : i + k], ids=examples.ids[i : i + k]),
            seed=0,
        ).networks[0]
        for i, k in ((0, 1), (1, 7), (8, 4))
    ]
    for column, values in whole.items():
        np.testing.assert_array_equal(values, np.concatenate([part[column] for part in parts]))


def test_margins_near_zero_are_computed_in_double_precision(monkeypatch):
    linear = Linear().requires_grad_(requires_grad=False)
    examples = batch(linear)
    requested = []

    def near(graph, region, labels):
        requested.append(region.box.low.dtype)
        return torch.full((len(labels), 2), 1e-7 if region.box.low.dtype == torch.float32 else -1e-12)

    monkeypatch.setitem(module._METHODS, "interval", near)
    (observed,) = Bounds(eps=0.01, method="interval").observe([linear], examples, seed=0).networks
    assert requested == [torch.float32, torch.float64]
    assert (observed["prediction"] == ABSTAIN).all()


@dataclass(frozen=True, kw_only=True)
class Liar(Attack):
    norms: ClassVar = ("linf",)

    def typical_steps(self):
        return 1

    def __call__(self, network, batch, budget, *, seed):
        return Attacked(images=1 - batch.images)


def test_an_attack_that_breaks_a_certificate_stops_the_run(monkeypatch):
    monkeypatch.setattr(module, "find", lambda package, name, kind: Liar)
    linear = Linear().requires_grad_(requires_grad=False)
    with pytest.raises(AssertionError, match="pgd broke what crown had certified"):
        Bounds(eps=0.01).observe([linear], batch(linear), seed=0)


def test_networks_that_bounds_cannot_read_are_refused_before_anything_runs():
    domain = Domain(shape=SHAPE, classes=3)
    assert Bounds().unsupported_network_reason(network(), domain) is None
    reason = Bounds().unsupported_network_reason(nn.Sequential(nn.Flatten(), nn.Linear(36, 3), nn.GELU()), domain)
    assert reason is not None
    assert "expected a ReLU network" in reason
    assert "gelu" in reason.lower()


@pytest.mark.parametrize("settings", [{"eps": 0.0}, {"eps": -1.0}])
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match="expected eps > 0"):
        Bounds(**settings)
