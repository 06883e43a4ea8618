"""PGD against the closed form on a linear two-class network, where the best attack is known."""

import pytest
import torch

from evalsuite.attacks.pgd import Pgd
from evalsuite.extend import Batch, Budget


class Linear(torch.nn.Module):
    """Logits (0, w x + b) of flattened images."""

    def __init__(self, w, b):
        super().__init__()
        self.w, self.b = torch.nn.Parameter(w, requires_grad=False), b

    def forward(self, images):
        score = images.flatten(1) @ self.w + self.b
        return torch.stack([torch.zeros_like(score), score], dim=1)


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(16, generator=generator)
    images = 0.35 + 0.3 * torch.rand(200, 1, 4, 4, generator=generator)  # so far inside [0, 1] that nothing is cut
    score = images.flatten(1) @ w
    b = -float(score.median())
    labels = (score + b > 0).long()
    batch = Batch(images=images, labels=labels, ids=tuple(map(str, range(200))))
    return Linear(w, b), batch, (score + b).abs()


# the logit gap changes by at most eps ||w||_dual inside the ball, and that much is reached
# L-infinity: 20 steps of eps/8 reach the corner. L2: once on the sphere, each step of eps/8 shrinks the sideways part
# by 1/(1 + 1/8); even a start that points the wrong way leaves 40 of 60 steps for that: 0.009, a cosine of 0.99996
@pytest.mark.parametrize(("norm", "dual", "steps"), [("linf", 1, 20), ("l2", 2, 60)])
@pytest.mark.parametrize("eps", [0.01, 0.03, 0.05])
def test_breaks_exactly_what_can_be_broken(problem, norm, dual, steps, eps):
    network, batch, margin = problem
    result = Pgd(steps=steps, step=1 / 8)(network, batch, Budget(norm=norm, eps=eps), seed=0).images
    survives = network(result).argmax(1) == batch.labels
    reach = eps * network.w.norm(dual)
    clear = (margin / reach - 1).abs() > 1e-4  # float32 may fall on either side of a tie
    assert torch.equal(survives[clear], (margin > reach)[clear])
    assert 0 < survives.sum() < len(batch)


def test_stays_inside_budget_and_range(problem):
    network, batch, _ = problem
    dark = Batch(images=batch.images * 0.02, labels=batch.labels, ids=batch.ids)
    for norm, size in (("linf", lambda d: d.abs().amax(1)), ("l2", lambda d: d.norm(dim=1))):
        outcome = Pgd()(network, dark, Budget(norm=norm, eps=0.3), seed=0).images
        assert outcome.min() >= 0
        assert outcome.max() <= 1
        assert (size((outcome - dark.images).flatten(1)) <= 0.3 + 1e-6).all()


def test_an_example_alone_is_attacked_as_in_a_batch(problem):
    network, batch, _ = problem
    together = Pgd()(network, batch, Budget(norm="linf", eps=0.05), seed=0).images
    alone = Batch(images=batch.images[7:8], labels=batch.labels[7:8], ids=batch.ids[7:8])
    single = Pgd()(network, alone, Budget(norm="linf", eps=0.05), seed=0).images
    assert torch.allclose(single[0], together[7], atol=1e-6)


def test_inputs_are_untouched(problem):
    network, batch, _ = problem
    before = batch.images.clone()
    Pgd()(network, batch, Budget(norm="l2", eps=0.5), seed=0)
    assert torch.equal(batch.images, before)
    assert network.w.grad is None
