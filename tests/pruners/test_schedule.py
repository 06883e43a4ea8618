from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from neuralnets.weights import prunable, remaining
from pruners import Context, cascade, hold_zeros, keep_for
from pruners._schedule import rewound
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude
from pruners.random import Random

CONTEXT = Context(example=torch.zeros(1, 6), seed=3)
PIXELS = Context(example=torch.zeros(1, 3, 8, 8))
RATIOS = (0.25, 0.5, 0.75)


@pytest.fixture
def parent() -> nn.Sequential:
    """6 * 10 + 10 * 4 = 100 weights of different sizes."""
    network = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 4))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network


def alive(network: nn.Module) -> list[Tensor]:
    return [weight.detach() != 0 for weight in prunable(network).values()]


def nudge(network: nn.Module, step: int) -> nn.Module:
    """Stands for training: survivors move, deterministically and differently in each step."""
    trained = deepcopy(network)
    with torch.no_grad():
        for weight in prunable(trained).values():
            weight.mul_(1 + (torch.arange(weight.numel()).view_as(weight) * (step + 3)) % 7)
    return trained


@pytest.mark.parametrize(
    ("total", "ratio", "keep"), [(100, 0.0, 100), (100, 0.3, 70), (10, 0.25, 8), (1000, 0.999, 1), (10, 0.99, 1)]
)
def test_keep_for(total: int, ratio: float, keep: int) -> None:
    assert keep_for(total, ratio) == keep


@pytest.mark.parametrize("ratio", [-0.1, 1.0, float("nan")])
def test_keep_for_out_of_range(ratio: float) -> None:
    with pytest.raises(ValueError, match=f"expected 0 <= ratio < 1, got {ratio}"):
        keep_for(10, ratio)


def test_steps_measure_what_they_made(parent: nn.Sequential) -> None:
    steps = list(cascade(parent, Magnitude(), RATIOS, context=CONTEXT))
    assert [step.target_ratio for step in steps] == list(RATIOS)
    assert [step.prune_ratio for step in steps] == pytest.approx([0.25, 0.5, 0.75])
    assert [remaining(step.network) for step in steps] == [75, 50, 25]
    assert remaining(parent) == 100


def test_each_step_goes_on_from_the_retrained_network(parent: nn.Sequential) -> None:
    steps = list(cascade(parent, Magnitude(), RATIOS, context=CONTEXT, retrain=nudge))
    expected: nn.Module = parent
    for number, keep in enumerate((75, 50, 25)):
        expected = nudge(Magnitude()(expected, keep=keep, context=CONTEXT), number)
        for a, b in zip(expected.parameters(), steps[number].network.parameters(), strict=True):
            assert torch.equal(a, b)


def test_one_shot_starts_from_the_parent(parent: nn.Sequential) -> None:
    steps = list(cascade(parent, Magnitude(), RATIOS, context=CONTEXT, retrain=nudge, one_shot=True))
    for number, keep in enumerate((75, 50, 25)):
        expected = nudge(Magnitude()(parent, keep=keep, context=CONTEXT), number)
        for a, b in zip(expected.parameters(), steps[number].network.parameters(), strict=True):
            assert torch.equal(a, b)


def test_steps_are_made_when_asked_for(parent: nn.Sequential) -> None:
    observed: list[int] = []

    def retrain(network: nn.Module, step: int) -> nn.Module:
        observed.append(step)
        return network

    steps = cascade(parent, Magnitude(), RATIOS, context=CONTEXT, retrain=retrain)
    assert observed == []
    next(steps)
    assert observed == [0]


def test_a_cut_off_cascade_goes_on_as_if_nothing_had_been(parent: nn.Sequential) -> None:
    whole = list(cascade(parent, Random(), RATIOS, context=CONTEXT, retrain=nudge))
    for done in range(4):
        start = [step.network for step in whole[:done]]
        rest = list(cascade(parent, Random(), RATIOS, context=CONTEXT, retrain=nudge, start=start))
        assert [step.prune_ratio for step in rest] == [step.prune_ratio for step in whole[done:]]
        for one, other in zip(rest, whole[done:], strict=True):
            pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)


def test_recalibration_takes_the_place_of_retraining(parent: nn.Sequential) -> None:
    recorded: list[int] = []

    def recalibrate(network: nn.Module) -> nn.Module:
        recorded.append(remaining(network))
        return network

    list(cascade(parent, Magnitude(), RATIOS, context=CONTEXT, recalibrate=recalibrate))
    assert recorded == [75, 50, 25]
    list(cascade(parent, Magnitude(), RATIOS, context=CONTEXT, recalibrate=recalibrate, retrain=nudge))
    assert recorded == [75, 50, 25]


def test_survivors_take_their_early_weights(parent: nn.Sequential) -> None:
    early = {name: tensor + 10 for name, tensor in parent.state_dict().items()}
    handed: list[nn.Module] = []

    def retrain(network: nn.Module, step: int) -> nn.Module:
        handed.append(deepcopy(network))
        return nudge(network, step)

    steps = list(cascade(parent, Magnitude(), RATIOS, context=CONTEXT, retrain=retrain, rewind_to=early))
    for network, step in zip(handed, steps, strict=True):
        for name, value in network.state_dict().items():
            where = step.network.state_dict()[name] != 0
            assert torch.equal(value, early[name] * where if name in prunable(parent) else early[name])
    # the second choice is made on the retrained weights of the first, not on the early ones
    second = Magnitude()(steps[0].network, keep=50, context=CONTEXT)
    assert all(torch.equal(a, b) for a, b in zip(alive(second), alive(steps[1].network), strict=True))


def test_early_weights_have_to_fit(parent: nn.Sequential) -> None:
    with pytest.raises(ValueError, match="expected early weights of the same network"):
        rewound(parent, {"0.weight": torch.zeros(10, 6)})
    early = {name: tensor.clone() for name, tensor in parent.state_dict().items()}
    early["0.weight"][2, 3] = 0
    with pytest.raises(ValueError, match="expected early weights other than zero for all that survive, got 1 zeros"):
        rewound(parent, early)


def test_rewinding_needs_whole_tensors(parent: nn.Sequential) -> None:
    with pytest.raises(ValueError, match="expected a pruner of weights for weight rewinding, got FilterNorm"):
        cascade(parent, FilterNorm(), RATIOS, context=CONTEXT, rewind_to=parent.state_dict())


@pytest.mark.parametrize("ratios", [(0.5, 0.5), (0.5, 0.2), (0.0, 0.5), (0.5, 1.0)])
def test_ratios_have_to_rise(parent: nn.Sequential, ratios: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected increasing ratios in \(0, 1\), got "):
        cascade(parent, Magnitude(), ratios, context=CONTEXT)


def test_ratios_too_near_to_the_one_before_are_passed_over(parent: nn.Sequential) -> None:
    # of 100 weights neither 0.501 nor 0.502 is more than a half
    trained: list[int] = []

    def retrain(network: nn.Module, step: int) -> nn.Module:
        trained.append(step)
        return network

    ratios = (0.5, 0.501, 0.502, 0.7)
    steps = list(cascade(parent, Magnitude(), ratios, context=CONTEXT, retrain=retrain))
    assert [(step.target_ratio, remaining(step.network)) for step in steps] == [(0.5, 50), (0.7, 30)]
    assert trained == [0, 3]
    done = [steps[0].network, None, None]
    (last,) = cascade(parent, Magnitude(), ratios, context=CONTEXT, start=done)
    assert torch.equal(last.network.get_parameter("0.weight"), steps[1].network.get_parameter("0.weight"))


@pytest.mark.parametrize("one_shot", [False, True])
def test_ratios_that_the_parent_is_beyond_already_are_passed_over(parent: nn.Sequential, one_shot: bool) -> None:
    with torch.no_grad():
        parent.get_parameter("0.weight").view(-1)[:32] = 0
    assert remaining(parent) == 68
    steps = list(cascade(parent, Magnitude(), (0.2, 0.32, 0.4), context=CONTEXT, one_shot=one_shot))
    assert [(step.target_ratio, remaining(step.network)) for step in steps] == [(0.4, 60)]


def test_ratios_that_whole_channels_have_gone_beyond_are_passed_over(parent: nn.Sequential) -> None:
    # units go with ten weights each: the nearest to 0.27 is 0.3
    steps = list(cascade(parent, FilterNorm(), (0.27, 0.28, 0.3, 0.8), context=CONTEXT))
    assert [(step.target_ratio, remaining(step.network)) for step in steps] == [(0.27, 70), (0.8, 20)]


def test_too_many_networks_to_start_from(parent: nn.Sequential) -> None:
    with pytest.raises(ValueError, match="expected at most 1 networks to start from, got 2"):
        cascade(parent, Magnitude(), (0.5,), context=CONTEXT, start=[parent, parent])


def test_weights_that_come_back_are_noticed(parent: nn.Sequential) -> None:
    def revive(network: nn.Module, step: int) -> nn.Module:
        with torch.no_grad():
            network[2].weight.fill_(1 + step)
        return network

    with pytest.raises(ValueError, match=r"expected retraining to hold pruned weights at zero, got \d+ back at step 0"):
        list(cascade(parent, Magnitude(), RATIOS, context=CONTEXT, retrain=revive))


def test_a_sparse_parent_counts_from_all_its_weights(parent: nn.Sequential) -> None:
    sparse = Magnitude()(parent, keep=60, context=CONTEXT)
    (step,) = cascade(sparse, Magnitude(), (0.5,), context=CONTEXT)
    assert (step.prune_ratio, remaining(step.network)) == (0.5, 50)
    assert list(cascade(sparse, Magnitude(), (0.3,), context=CONTEXT)) == []


def test_channels_go_step_by_step(build: Callable[[str], nn.Module]) -> None:
    network = build("projection")
    total = remaining(network)
    steps = list(cascade(network, FilterNorm(), (0.3, 0.6, 0.9), context=PIXELS))
    assert [step.prune_ratio for step in steps] == pytest.approx([0.3, 0.6, 0.9], abs=0.03)
    for step in steps:
        assert step.prune_ratio == 1 - sum(w.numel() for w in prunable(step.network).values()) / total


def test_a_family_ends_where_no_more_channels_can_go(build: Callable[[str], nn.Module]) -> None:
    network = build("transformer")
    steps = list(cascade(network, FilterNorm(), (0.2, 0.6, 0.9), context=PIXELS))
    # of every perceptron one hidden unit is left: no ratio beyond that is reached
    assert [step.target_ratio for step in steps] == [0.2, 0.6]
    assert steps[-1].prune_ratio < 0.6
    least = FilterNorm()(network, keep=1, context=PIXELS)
    assert remaining(steps[-1].network) == remaining(least)


OPTIMISERS: list[Callable[[nn.Module], torch.optim.Optimizer]] = [
    lambda n: torch.optim.SGD(n.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    lambda n: torch.optim.Adam(n.parameters(), lr=0.1, weight_decay=0.1),
    lambda n: torch.optim.AdamW(n.parameters(), lr=0.1),
]


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_zeros_hold(parent: nn.Sequential, optimiser: Callable[[nn.Module], torch.optim.Optimizer]) -> None:
    # momentum from dense training would move masked weights even without a gradient
    steps = optimiser(parent)
    inputs = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
    parent(inputs).square().mean().backward()
    steps.step()
    masks = alive(Random()(parent, keep=30, context=CONTEXT))
    with torch.no_grad():
        for weight, mask in zip(prunable(parent).values(), masks, strict=True):
            weight.mul_(mask)
    before = [parameter.detach().clone() for parameter in parent.parameters()]
    hold = hold_zeros(parent)
    for _ in range(5):
        steps.zero_grad()
        parent(inputs).square().mean().backward()
        steps.step()
        assert remaining(parent) > 30
        hold(parent)
        assert all(torch.equal(a, b) for a, b in zip(masks, alive(parent), strict=True))
    # everything else was trained
    assert all((a != b).any() for a, b in zip(before, parent.parameters(), strict=True))


def test_zeros_hold_in_a_copy_and_only_in_weights(parent: nn.Sequential) -> None:
    with torch.no_grad():
        parent[0].bias.zero_()
        parent[0].weight[0] = 0
    hold = hold_zeros(parent)
    copied = deepcopy(parent)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.fill_(1)
    hold(copied)
    assert not copied[0].weight[0].any()
    assert copied[0].weight[1:].all()
    assert copied[0].bias.all()
    assert copied[2].weight.all()
    assert not parent[0].weight[0].any()


def test_a_weight_that_happens_to_reach_zero_may_leave_it(parent: nn.Sequential) -> None:
    hold = hold_zeros(parent)
    with torch.no_grad():
        parent[0].weight[0, 0] = 0
        hold(parent)
        parent[0].weight[0, 0] = 1
    hold(parent)
    assert parent[0].weight[0, 0] == 1
