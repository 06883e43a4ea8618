from collections.abc import Callable, Iterable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from neuralnets.weights import prunable, remaining
from pruners import Context
from pruners.grasp import GraSP, hessian_gradient

Build = Callable[[str], nn.Module]
NAMES = ("chain", "projection", "padding", "vgg", "dense", "mobile", "grouped", "transformer", "mixed")


def pictures() -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    images = torch.rand(20, 3, 8, 8, generator=generator)
    labels = torch.arange(20) % 4
    return zip(images.split(8), labels.split(8), strict=True)


LOOKING = Context(example=torch.zeros(1, 3, 8, 8), batches=pictures)


def one_example(x: list[float], label: int) -> Context:
    images, labels = torch.tensor([x]), torch.tensor([label])
    return Context(example=torch.zeros(images.shape), batches=lambda: [(images, labels)])


def test_by_hand() -> None:
    # One input x = 2, weights (1, 1): logits are equal and p = (1/2, 1/2). For label 0, in temperature T,
    # g = (-1/2, 1/2) x / T, H = x^2 / T^2 (diag(p) - p p^T) = x^2 / (4 T^2) [[1, -1], [-1, 1]],
    # Hg = x^3 / (4 T^3) (-1, 1) = (-2, 2) at T = 1, and theta * Hg likewise.
    network = nn.Linear(1, 2, bias=False)
    network.weight = nn.Parameter(torch.ones(2, 1))
    context = one_example([2.0], 0)
    assert torch.allclose(GraSP(temperature=1).score(network, context)["weight"], torch.tensor([[-2.0], [2.0]]))
    result = GraSP(temperature=4).score(network, context)["weight"]
    assert torch.allclose(result, torch.tensor([[-2.0], [2.0]]) / 64)
    # the largest stays, not the smallest, nor the largest in absolute value
    assert GraSP()(network, keep=1, context=context).weight.tolist() == [[0], [1]]


def test_what_stays_keeps_the_gradient_flow() -> None:
    """Of 5 single weights the one with the smallest score raises |g|^2 most, or lowers it least, when it shrinks."""
    generator = torch.Generator().manual_seed(1)
    network = nn.Linear(5, 3, bias=False)
    network.weight = nn.Parameter(torch.randn(3, 5, generator=generator))
    images, labels = torch.randn(6, 5, generator=generator), torch.tensor([0, 1, 2, 0, 1, 2])
    context = Context(example=torch.zeros(1, 5), batches=lambda: [(images, labels)])
    scores = GraSP(temperature=1).score(network, context)["weight"].double()

    def flow(weight: Tensor) -> float:
        weight = weight.detach().requires_grad_()
        loss = F.cross_entropy(images.double() @ weight.t(), labels)
        return float(torch.autograd.grad(loss, weight)[0].square().sum())

    base, step = network.weight.detach().double(), 1e-5
    for place in range(15):
        shrunk = base.clone()
        shrunk.view(-1)[place] *= 1 - step
        grown = base.clone()
        grown.view(-1)[place] *= 1 + step
        change = (flow(shrunk) - flow(grown)) / (2 * step)
        assert change == pytest.approx(-2 * float(scores.view(-1)[place]), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("name", ["chain", "projection", "transformer"])
def test_hessian_gradient_against_finite_differences(build: Build, name: str) -> None:
    # central differences of gradients along g, in float64; smooth in a neighbourhood of almost every point
    network = build(name).double()
    images, labels = (torch.cat(parts) for parts in zip(*pictures(), strict=True))
    images, temperature = images.double(), 2.0
    weights = prunable(network)

    def gradient(shift: float, direction: dict[str, Tensor]) -> dict[str, Tensor]:
        moved = {
            key: (weight.detach() + shift * direction[key] if direction else weight.detach()).requires_grad_()
            for key, weight in weights.items()
        }
        loss = F.cross_entropy(functional_call(network, moved, (images,)) / temperature, labels)
        return dict(zip(moved, torch.autograd.grad(loss, list(moved.values())), strict=True))

    g = gradient(0, {})
    up, down = gradient(1e-6, g), gradient(-1e-6, g)
    expected = {key: (up[key] - down[key]) / 2e-6 for key in g}
    batches = [(images[:8], labels[:8]), (images[8:], labels[8:])]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        outcome = hessian_gradient(network, weights, batches, temperature)
    scale = max(float(each.abs().max()) for each in expected.values())
    assert scale > 1e-6
    assert all(torch.allclose(outcome[key], expected[key], rtol=1e-4, atol=1e-6 * scale) for key in outcome)


def test_two_forward_passes_a_batch(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    network, observed = build("chain"), []
    forward = nn.Sequential.forward

    def counting(self: nn.Sequential, images: Tensor) -> Tensor:
        observed.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(nn.Sequential, "forward", counting)
    GraSP(batch_size=10)(network, keep=50, context=LOOKING)
    assert observed == [1, 10, 10, 10, 10]


def test_batch_statistics_change_scores(build: Build) -> None:
    network = build("projection")
    one, other = (GraSP(batch_statistics=each).score(network, LOOKING)["1.weight"] for each in (True, False))
    assert not torch.allclose(one, other, rtol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_network(build: Build, name: str) -> None:
    network = build(name)
    assert remaining(GraSP()(network, keep=50, context=LOOKING)) == 50


def test_negative_scores_still_lose_against_pruned_weights_nowhere(build: Build) -> None:
    # a pruned weight scores 0, more than all that are negative, and has to stay pruned
    network = build("chain")
    with torch.no_grad():
        network[1].weight[:4] = 0
    left = remaining(network)
    pruned = GraSP()(network, keep=left - 1, context=LOOKING)
    assert remaining(pruned) == left - 1
    assert not pruned[1].weight[:4].any()


@pytest.mark.parametrize("allocation", ["lamp", "flops"])
def test_allocations_that_share_by_scores_are_refused(build: Build, allocation: str) -> None:
    with pytest.raises(ValueError, match="expected scores >= 0 to share a budget out by, got negative ones"):
        GraSP(allocation=allocation)(build("chain"), keep=50, context=LOOKING)


def test_allocations_that_only_rank_are_not(build: Build) -> None:
    for allocation in ("uniform", "erk"):
        assert remaining(GraSP(allocation=allocation)(build("chain"), keep=50, context=LOOKING)) == 50


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_has_a_range(temperature: float) -> None:
    with pytest.raises(ValueError, match="expected temperature > 0, got"):
        GraSP(temperature=temperature)


@pytest.mark.parametrize("field", ["per_class", "batch_size"])
def test_counts_have_ranges(field: str) -> None:
    with pytest.raises(ValueError, match=f"expected {field} >= 1, got 0"):
        GraSP(**{field: 0})
