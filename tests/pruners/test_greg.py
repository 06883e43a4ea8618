from collections.abc import Callable, Iterable
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from neuralnets.training_hook import Hook
from neuralnets.weights import prunable, remaining
from pruners import Context, coupled_channels, sgd
from pruners._channels import ChannelGroup, mask_channels
from pruners.filter_norm import FilterNorm
from pruners.greg import GReg, GrowingPenalty, mean_sizes

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]
Variant = Literal["greg1", "greg2"]
EXAMPLE = torch.zeros(1, 3, 8, 8)


def batches() -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        yield torch.rand(6, 3, 8, 8, generator=generator), torch.randint(4, (6,), generator=generator)


def context(steps: int = 6, learning_rate: float = 0.02) -> Context:
    return Context(example=EXAMPLE, train=sgd(batches, steps=steps, learning_rate=learning_rate))


def plain() -> nn.Sequential:
    """One group of three filters of mean sizes 2, 1 and 3."""
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[-2.0, 2.0], [1.0, -1.0], [2.0, 4.0]]))
        network[0].bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    return network


def penalty_of(
    pruner: GReg, network: nn.Module, groups: tuple[ChannelGroup, ...], *, open_choice: bool = False
) -> GrowingPenalty:
    stays = {group: torch.arange(group.size) != 1 for group in groups}
    return GrowingPenalty(pruner, groups, lambda _: stays, None if open_choice else stays)


def test_lambda_of_greg1_by_hand() -> None:
    # up to 2 in the first quarter, then held; what stays is not penalised
    hook = penalty_of(GReg(variant="greg1", ceiling=2.0, grow=0.25), plain(), ())
    assert [hook.strengths(done) for done in (0.0, 0.125, 0.25, 0.9)] == [(0, 0), (0, 1), (0, 2), (0, 2)]


def test_lambda_of_greg2_by_hand() -> None:
    # 0 → 0.5 for all in the first quarter; then 0.5 → 1.5 in half of the training for what goes
    pruner = GReg(ceiling=1.5, pick=0.25, pick_ceiling=0.5, grow=0.5, recover=-0.125)
    hook = penalty_of(pruner, plain(), ())
    assert [hook.strengths(done) for done in (0.0, 0.125, 0.25, 0.5, 0.75, 0.9)] == [
        (0, 0),
        (0.25, 0.25),
        (-0.125, 0.5),
        (-0.125, 1),
        (-0.125, 1.5),
        (-0.125, 1.5),
    ]


def test_gradients_by_hand() -> None:
    network = plain()
    groups = coupled_channels(network, torch.zeros(1, 2))
    hook = penalty_of(GReg(variant="greg1", grow=0.5), network, groups)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    network[0].bias.grad = None  # frozen
    hook.after_backward(network, 0.25)
    # lambda is 0.5, only the second filter (1, -1) goes
    assert network[0].weight.grad.tolist() == [[1, 1], [1.5, 0.5], [1, 1]]
    assert network[0].bias.grad is None
    assert network[2].weight.grad.eq(1).all()
    assert network[2].bias.grad.eq(1).all()


def test_the_choice_is_made_once_and_late() -> None:
    network = plain()
    groups = coupled_channels(network, torch.zeros(1, 2))
    hook = penalty_of(GReg(pick=0.25, pick_ceiling=0.5, recover=-1.0), network, groups, open_choice=True)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    hook.after_backward(network, 0.125)
    assert hook.stays is None
    assert torch.equal(network[0].weight.grad, 0.25 * network[0].weight)
    hook.after_backward(network, 0.25)
    chosen = hook.stays
    assert chosen is not None
    # on top of the first: -1 for what stays, 0.5 for what goes
    assert torch.equal(network[0].weight.grad, torch.tensor([[-0.75], [0.75], [-0.75]]) * network[0].weight)
    hook.after_backward(network, 0.5)
    assert hook.stays is chosen


def test_mean_sizes_by_hand() -> None:
    (group,) = coupled_channels(plain(), torch.zeros(1, 2))
    assert mean_sizes(plain(), [group])[0].tolist() == [2, 1, 3]


def test_greg1_chooses_by_filter_norm(build: Build) -> None:
    network = build("chain")
    keep = remaining(network) // 2
    result = GReg(variant="greg1")(network, keep=keep, context=context(3, 1e-9))
    expected = FilterNorm()(network, keep=keep, context=context())
    for one, other in zip(prunable(result).values(), prunable(expected).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("variant", ["greg1", "greg2"])
def test_what_goes_is_gone_before_it_is_cut(build: Build, variant: Variant) -> None:
    network = build("projection")
    groups = coupled_channels(network, EXAMPLE)
    observed: list[tuple[GrowingPenalty, nn.Module]] = []

    def train(model: nn.Module, hook: Hook) -> nn.Module:
        assert isinstance(hook, GrowingPenalty)
        observed.append((hook, sgd(batches, steps=300, learning_rate=0.1)(model, hook)))
        return observed[0][1]

    before = Context(example=EXAMPLE, train=train)
    cut = GReg(variant=variant)(network, keep=remaining(network) // 2, context=before)
    hook, grown = observed[0]
    assert hook.stays is not None
    for size, stays in zip(mean_sizes(grown, groups), hook.stays.values(), strict=True):
        assert 0 < int((~stays).sum()) < len(stays)
        # the authors end a layer at a ratio of 1000
        assert size[stays].mean() > 1000 * size[~stays].max()
    images, _ = next(iter(batches()))
    # the same training without the penalty, and the same cut
    plainly = sgd(batches, steps=300, learning_rate=0.1)(network, Hook())
    with torch.no_grad():
        changed = (cut(images) - grown(images)).abs().mean()
        without = (mask_channels(plainly, hook.stays)(images) - plainly(images)).abs().mean()
        assert changed < 0.01 * without
        torch.testing.assert_close(cut(images), mask_channels(grown, hook.stays)(images), rtol=1e-4, atol=1e-5)
    assert remaining(cut) == sum(weight.numel() for weight in prunable(cut).values())


def test_the_uniform_penalty_sees_curvature() -> None:
    # loss h/2 |w - w0|^2 with curvatures 10, 10 and 0.01: under the penalty the filter of the flat direction, the
    # largest at the start, shrinks to h w0 / (h + lambda) = 0.01 * 1.2 / 1.01 of itself, and goes
    network = nn.Sequential(nn.Linear(1, 3, bias=False), nn.ReLU(), nn.Linear(3, 1, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[0.9], [1.0], [1.2]]))
        network[2].weight.fill_(1.0)
    start, curvature = network[0].weight.detach().clone(), torch.tensor([[10.0], [10.0], [0.01]])

    def train(model: nn.Module, hook: Hook) -> nn.Module:
        for step in range(400):
            for parameter in model.parameters():
                parameter.grad = torch.zeros_like(parameter)
            model[0].weight.grad = curvature * (model[0].weight.detach() - start)
            hook.after_backward(model, step / 400)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.sub_(0.05 * parameter.grad)
            hook.after_step(model, step / 400)
        return model

    line = Context(example=torch.zeros(1, 1), train=train)
    survivors = {}
    for variant in ("greg1", "greg2"):
        pruner = GReg(variant=variant, pick=0.4, pick_ceiling=1.0, grow=0.5, recover=0.0)
        survivors[variant] = pruner(network, keep=4, context=line)[0].weight.flatten().tolist()
    assert survivors["greg1"] == pytest.approx([1.0, 1.2], abs=0.01)
    assert survivors["greg2"] == pytest.approx([0.9, 1.0], abs=0.05)


def test_every_kind_of_coupling(network: nn.Module, images: Tensor) -> None:
    if any(isinstance(module, nn.ConvTranspose2d) for module in network.modules()):
        small = Context(example=EXAMPLE, train=picture)
    else:
        small = context(4)
    keep = round(0.6 * remaining(network))
    pruned = GReg()(network, keep=keep, context=small)
    assert remaining(pruned) < remaining(network)
    assert pruned(images).shape == network(images).shape


def picture(model: nn.Module, hook: Hook) -> nn.Module:
    """Trains a network that puts out pictures, through transposed and grouped convolutions."""
    gone = []
    for step in range(4):
        model.zero_grad()
        model(torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(step))).square().mean().backward()
        plain = [parameter.grad.clone() for parameter in model.parameters()]
        hook.after_backward(model, step / 4)
        gone.append(any(not torch.equal(p.grad, g) for p, g in zip(model.parameters(), plain, strict=True)))
    assert gone == [False, True, True, True]
    return model


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("grow", 0.0),
        ("grow", 1.1),
        ("pick", -0.1),
        ("pick", 0.5),
        ("ceiling", 0.0),
        ("pick_ceiling", 2.0),
        ("at_least", 0),
    ],
)
def test_hyperparameters_out_of_range(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"expected .*{field}.*, got {value}"):
        GReg(**{field: value})
