from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralnets.weights import prunable, remaining
from pruners import Context, apply_masks, woodfisher
from pruners.magnitude import Magnitude
from pruners.woodfisher import WoodFisher, example_gradients, joint_step, removal_losses, summed_step

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]
NAMES = ("chain", "projection", "padding", "vgg", "dense", "mobile", "grouped", "transformer", "mixed")


def pictures() -> Iterable[tuple[Tensor, Tensor]]:
    images = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    return zip(images.split(8), (torch.arange(20) % 4).split(8), strict=True)


LOOKING = Context(example=torch.zeros(1, 3, 8, 8), batches=pictures)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fisher(gradients: Tensor, damping: float) -> Tensor:
    """(size, size), as written in the paper."""
    return damping * torch.eye(gradients.shape[1], dtype=torch.float64) + gradients.t() @ gradients / len(gradients)


@pytest.mark.parametrize("count", [1, 3, 12])
def test_losses_by_the_inverse_itself(count: int) -> None:
    gradients, weights, damping = normal(2, count, 6), normal(2, 6, seed=1), 0.03
    result = removal_losses(gradients, weights, damping)
    for rows, layer_weights, losses in zip(gradients, weights, result, strict=True):
        diagonal = torch.linalg.inv(fisher(rows, damping)).diagonal()
        assert torch.allclose(losses, layer_weights.square() / (2 * diagonal), rtol=1e-10)


def test_losses_by_rank_one_updates() -> None:
    # the recursion of the paper: F^-1 <- F^-1 - (F^-1 g)(F^-1 g)^T / (N + g^T F^-1 g), from I / damping
    gradients, weights, damping = normal(9, 5), normal(5, seed=1), 1e-3
    inverse = torch.eye(5, dtype=torch.float64) / damping
    for g in gradients:
        v = inverse @ g
        inverse = inverse - torch.outer(v, v) / (len(gradients) + g @ v)
    outcome = removal_losses(gradients[None], weights[None], damping)[0]
    assert torch.allclose(outcome, weights.square() / (2 * inverse.diagonal()), rtol=1e-9)


def test_one_removal_is_exact_on_a_quadratic() -> None:
    """Loss 1/2 d^T F d around the weights: what stays moves to its minimum, and the minimum is what was foretold."""
    gradients, weights, damping = normal(4, 7), normal(7, seed=1), 0.05
    matrix = fisher(gradients, damping)
    foretold = removal_losses(gradients[None], weights[None], damping)[0]
    for q in range(7):
        stays = torch.ones(7, dtype=torch.float64)
        stays[q] = 0
        for step in (summed_step, joint_step):
            moved = step(gradients[None], weights[None], stays[None], damping)[0] * stays
            change = moved - weights * (1 - stays)
            assert 0.5 * float(change @ matrix @ change) == pytest.approx(float(foretold[q]), rel=1e-9)
            # no slope is left in any direction that is free
            assert ((matrix @ change) * stays).abs().max() < 1e-12
            # and the formula
            inverse = torch.linalg.inv(matrix)
            formula = -weights[q] / inverse[q, q] * inverse[:, q]
            assert torch.allclose(change, formula, rtol=1e-8)


def test_several_removals() -> None:
    gradients, weights, damping = normal(4, 7), normal(7, seed=1), 0.05
    matrix = fisher(gradients, damping)
    inverse = torch.linalg.inv(matrix)
    stays = torch.tensor([1.0, 0, 1, 1, 0, 0, 1], dtype=torch.float64)
    gone = [1, 4, 5]
    joint = joint_step(gradients[None], weights[None], stays[None], damping)[0] * stays - weights * (1 - stays)
    assert ((matrix @ joint) * stays).abs().max() < 1e-12
    summed = summed_step(gradients[None], weights[None], stays[None], damping)[0] * stays
    formula = -sum(weights[q] / inverse[q, q] * inverse[:, q] for q in gone)
    assert torch.allclose(summed, formula * stays, rtol=1e-8)
    # the sum overshoots where removals act on each other
    together = summed - weights * (1 - stays)
    assert float(joint @ matrix @ joint) < float(together @ matrix @ together)


def test_without_curvature_it_is_magnitude(build: Build) -> None:
    # a damping above all gradients leaves nothing else
    network = build("projection")
    pruned = WoodFisher(damping=1e12)(network, keep=300, context=LOOKING)
    expected = Magnitude()(network, keep=300, context=LOOKING)
    for one, other in zip(prunable(pruned).values(), prunable(expected).values(), strict=True):
        assert torch.equal(one != 0, other != 0)
        assert torch.allclose(one, other, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_single_examples(build: Build, name: str) -> None:
    network = build(name)
    images, labels = (torch.cat(parts) for parts in zip(*pictures(), strict=True))
    weights = prunable(network)
    alive = {key: weight != 0 for key, weight in weights.items()}
    actual = example_gradients(network, tuple(weights), (images[:, None], labels[:, None]), alive)
    assert list(actual) == list(weights)
    for number in (0, 7, 19):
        loss = F.cross_entropy(network(images[number : number + 1]), labels[number : number + 1])
        for key, slope in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
            assert torch.allclose(actual[key][number], slope.flatten(), rtol=1e-3, atol=1e-6)


def by_hand(network: nn.Module, keep: int, damping: float, block: int, size: int) -> dict[str, Tensor]:
    """The method written plainly: a loop over sets of examples, weights and blocks, inverses and all."""
    network = network.double()
    images, labels = (torch.cat(parts) for parts in zip(*pictures(), strict=True))
    weights = prunable(network)
    rows: dict[str, list[Tensor]] = {name: [] for name in weights}
    for start in range(0, len(labels), size):
        loss = F.cross_entropy(network(images[start : start + size].double()), labels[start : start + size])
        for name, slope in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
            rows[name].append(slope.flatten())
    flat = {name: weight.detach().flatten() for name, weight in weights.items()}
    inverses, losses = {}, {}
    for name, values in flat.items():
        gradients, losses[name] = torch.stack(rows[name]), torch.empty_like(values)
        for start in range(0, len(values), block):
            inverse = torch.linalg.inv(fisher(gradients[:, start : start + block], damping))
            inverses[name, start] = inverse
            losses[name][start : start + block] = values[start : start + block] ** 2 / (2 * inverse.diagonal())
    least = torch.cat(list(losses.values())).sort(descending=True).values[keep - 1]
    pruned = {}
    for name, values in flat.items():
        pruned[name] = values.clone()
        for q in (losses[name] < least).nonzero().flatten().tolist():
            start = q // block * block
            inverse = inverses[name, start]
            pruned[name][start : start + block] -= values[q] / inverse[q - start, q - start] * inverse[:, q - start]
        pruned[name] = (pruned[name] * (losses[name] >= least)).view(weights[name].shape)
    return pruned


@pytest.mark.parametrize(("block", "size"), [(7, 1), (50, 1), (10000, 2)])
def test_the_whole_method_against_loops(build: Build, block: int, size: int) -> None:
    keep = 700
    pruned = WoodFisher(damping=0.01, block=block, per_gradient=size)(build("chain"), keep=keep, context=LOOKING)
    expected = by_hand(build("chain"), keep, 0.01, block, size)
    assert remaining(pruned) == keep
    for name, weight in prunable(pruned).items():
        assert torch.equal(weight != 0, expected[name] != 0)
        assert torch.allclose(weight.double(), expected[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("joint", [False, True])
def test_parts_and_chunks_change_nothing(build: Build, monkeypatch: pytest.MonkeyPatch, joint: bool) -> None:
    pruner = WoodFisher(block=30, joint=joint)
    whole = pruner(build("projection"), keep=900, context=LOOKING)
    monkeypatch.setattr(woodfisher, "_MOST", 2000)
    parts = pruner(build("projection"), keep=900, context=LOOKING)
    assert remaining(parts) == 900
    for one, other in zip(prunable(whole).values(), prunable(parts).values(), strict=True):
        assert torch.equal(one != 0, other != 0)
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)


def test_one_pass_over_the_examples_where_all_fits(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    network, observed = build("chain"), []
    forward = nn.Sequential.forward

    def counting(self: nn.Sequential, images: Tensor) -> Tensor:
        observed.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(nn.Sequential, "forward", counting)
    WoodFisher()(network, keep=50, context=LOOKING)
    # 16 and then 4 sets of one example
    assert observed == [1, 1]


def trained() -> tuple[nn.Module, Tensor, Tensor]:
    """A network that has learnt which of four blobs a point belongs to, almost to the end."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(400) % 4
    centres = torch.randn(4, 10, generator=generator)
    points = centres[labels] + torch.randn(400, 10, generator=generator)
    network = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 4))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(network(points), labels).backward()
        optimizer.step()
    return network.eval(), points, labels


def test_it_loses_less_than_magnitude() -> None:
    network, points, labels = trained()
    context = Context(example=points[:1], batches=lambda: [(points, labels)])
    for ratio in (0.2, 0.4):
        keep = round((1 - ratio) * 280)
        losses = []
        for pruner in (Magnitude(), WoodFisher(damping=1e-3), WoodFisher(damping=1e-3, joint=True)):
            with torch.no_grad():
                losses.append(float(F.cross_entropy(pruner(network, keep=keep, context=context)(points), labels)))
        magnitude, summed, joint = losses
        assert joint < magnitude
        assert summed < magnitude


def test_a_survivor_never_becomes_zero() -> None:
    network = nn.Linear(3, 1, bias=False)
    network.weight = nn.Parameter(torch.tensor([[1.0, -1.0, 3.0]]))
    masks = {"weight": torch.tensor([[True, False, True]])}
    moved = {"weight": torch.tensor([[0.0, 5.0, 2.5]], dtype=torch.float64)}
    pruned = woodfisher._placed(apply_masks(network, masks), moved, masks)
    assert pruned.weight.tolist() == [[1, 0, 2.5]]


def test_gradients_out_of_range_are_said() -> None:
    with pytest.raises(ValueError, match=r"expected gradients small enough for a damping of 1e-05, got up to 1e\+160"):
        removal_losses(torch.full((1, 2, 3), 1e160, dtype=torch.float64), torch.ones(1, 3), 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_network(build: Build, name: str) -> None:
    network = build(name)
    for joint in (False, True):
        pruned = WoodFisher(joint=joint, block=40)(network, keep=60, context=LOOKING)
        assert remaining(pruned) == 60


def test_pruned_weights_and_dead_layers_have_no_part(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network[4].weight.zero_()
        network[1].weight[::2] = 0
    left = remaining(network)
    pruned = WoodFisher()(network, keep=left - 20, context=LOOKING)
    assert remaining(pruned) == left - 20
    assert not pruned[4].weight.any()
    assert not pruned[1].weight[::2].any()


def test_losses_stay_the_smallest_first() -> None:
    network, points, labels = trained()
    context = Context(example=points[:1], batches=lambda: [(points, labels)])
    masks = [
        [weight != 0 for weight in prunable(WoodFisher()(network, keep=keep, context=context)).values()]
        for keep in (250, 100, 10)
    ]
    for more, fewer in pairwise(masks):
        assert not any(bool((small & ~large).any()) for large, small in zip(more, fewer, strict=True))


def test_a_network_that_looks_at_values_is_refused() -> None:
    class Looking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) if float(x.sum()) > 0 else self.layer(-x)

    context = Context(example=torch.zeros(1, 2), batches=lambda: [(torch.ones(2, 2), torch.tensor([0, 1]))])
    with pytest.raises(ValueError, match=r"expected a network that torch\.func can take gradients of, got"):
        WoodFisher()(Looking(), keep=2, context=context)


@pytest.mark.parametrize("field", ["gradients", "per_gradient", "block"])
def test_counts_have_ranges(field: str) -> None:
    with pytest.raises(ValueError, match=f"expected {field} >= 1, got 0"):
        WoodFisher(**{field: 0})


def test_damping_has_a_range() -> None:
    with pytest.raises(ValueError, match="expected damping > 0, got 0"):
        WoodFisher(damping=0)
