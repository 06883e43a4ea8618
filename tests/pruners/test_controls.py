from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from neuralnets.weights import prunable, remaining
from pruners import (
    ChannelPruner,
    Context,
    copycat,
    coupled_channels,
    reinitialised,
    same_ratios_random,
    shuffled,
    width_reduced,
)
from pruners._widths import kept_widths
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude

pytestmark = pytest.mark.slow

CONTEXT = Context(example=torch.zeros(1, 3, 8, 8), seed=5)
DRAWN = (shuffled, same_ratios_random)
CUT: ChannelPruner = FilterNorm(allocation="global")


def again(network: nn.Module) -> nn.Module:
    """The architecture with other weights and statistics."""
    fresh, generator = deepcopy(network), torch.Generator().manual_seed(77)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)
        for name, buffer in fresh.named_buffers():
            if name.endswith("running_mean"):
                buffer.zero_()
    return fresh


def shapes(network: nn.Module) -> list[tuple[str, torch.Size]]:
    return [(name, tensor.shape) for name, tensor in network.state_dict().items()]


def counts(network: nn.Module) -> list[int]:
    return [int(weight.count_nonzero()) for weight in prunable(network).values()]


def same(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def masked(network: nn.Module, share: float = 0.4) -> nn.Module:
    return Magnitude()(network, keep=int(share * remaining(network)), context=CONTEXT)


def cut(network: nn.Module, share: float = 0.4) -> nn.Module:
    return CUT(network, keep=int(share * remaining(network)), context=CONTEXT)


@pytest.mark.parametrize("control", DRAWN)
def test_masks_keep_their_counts_and_lose_their_places(
    control: Callable[[nn.Module, nn.Module, Context], nn.Module], network: nn.Module
) -> None:
    pruned = masked(network)
    before, given = deepcopy(network), deepcopy(pruned)
    made = control(network, pruned, CONTEXT)
    assert same(network, before)
    assert same(pruned, given)
    assert counts(made) == counts(pruned)
    zeros = [(weight == 0).flatten() for weight in prunable(pruned).values()]
    other = [(weight == 0).flatten() for weight in prunable(made).values()]
    assert not torch.equal(torch.cat(zeros), torch.cat(other))
    # survivors are the parent's, and so is everything that is not pruned
    for name, tensor in made.state_dict().items():
        expected = network.state_dict()[name]
        assert torch.equal(tensor, expected * (tensor != 0) if name in prunable(network) else expected)


@pytest.mark.parametrize("control", DRAWN)
def test_channels_go_at_random_to_the_same_widths(
    control: Callable[[nn.Module, nn.Module, Context], nn.Module], network: nn.Module, images: Tensor
) -> None:
    pruned = cut(network)
    made = control(network, pruned, CONTEXT)
    assert shapes(made) == shapes(pruned)
    assert shapes(made) != shapes(network)
    assert remaining(made) == remaining(pruned)
    assert type(made) is type(network)
    assert not same(made, pruned)
    assert made(images).shape == pruned(images).shape


@pytest.mark.parametrize("control", DRAWN)
def test_a_cut_network_may_be_masked_too(
    control: Callable[[nn.Module, nn.Module, Context], nn.Module], build: Callable[[str], nn.Module]
) -> None:
    network = build("dense")
    pruned = masked(cut(network), 0.5)
    made = control(network, pruned, CONTEXT)
    assert shapes(made) == shapes(pruned)
    assert counts(made) == counts(pruned)


def test_every_place_is_drawn_equally_often() -> None:
    parent = nn.Linear(4, 2, bias=False)
    pruned = deepcopy(parent)
    with torch.no_grad():
        pruned.weight[:, :3] = 0
    for control in DRAWN:
        made = [control(parent, pruned, Context(example=CONTEXT.example, seed=seed)) for seed in range(800)]
        often = torch.stack([network.weight != 0 for network in made]).double().mean(0)
        # 2 of 8 places survive; the standard error of 800 draws is 0.0153
        assert bool(((often - 0.25).abs() < 0.06).all())


def test_draws_differ_between_seeds_and_controls(build: Callable[[str], nn.Module]) -> None:
    network = build("chain")
    for pruned in (masked(network), cut(network)):
        made = [
            control(network, pruned, Context(example=CONTEXT.example, seed=seed))
            for control in DRAWN
            for seed in (1, 2)
        ]
        assert not any(same(made[i], made[j]) for i in range(4) for j in range(i))
        repeated = shuffled(network, pruned, Context(example=CONTEXT.example, seed=1))
        assert same(repeated, made[0])


def test_zeros_of_the_parent_stay(build: Callable[[str], nn.Module]) -> None:
    parent = masked(build("chain"), 0.7)
    made = same_ratios_random(parent, masked(parent, 0.5), CONTEXT)
    assert counts(made) == counts(masked(parent, 0.5))
    for old, new in zip(prunable(parent).values(), prunable(made).values(), strict=True):
        assert not bool((new != 0)[old == 0].any())


def test_masks_are_reinitialised(network: nn.Module) -> None:
    pruned, fresh = masked(network), again(network)
    before, given = deepcopy(fresh), deepcopy(pruned)
    made = reinitialised(pruned, fresh, CONTEXT)
    assert same(fresh, before)
    assert same(pruned, given)
    for name, tensor in made.state_dict().items():
        expected = fresh.state_dict()[name]
        assert torch.equal(
            tensor, expected * (pruned.state_dict()[name] != 0) if name in prunable(pruned) else expected
        )


def test_a_survivor_is_never_initialised_to_zero() -> None:
    pruned, fresh = nn.Linear(3, 2), nn.Linear(3, 2)
    with torch.no_grad():
        pruned.weight.copy_(torch.tensor([[1.0, 0, 1], [1, 1, 0]]))
        fresh.weight.copy_(torch.tensor([[0.0, 0, -0.5], [0.25, 4, 1]]))
    # the smallest weight that is not zero is 0.25
    assert reinitialised(pruned, fresh, CONTEXT).weight.tolist() == [[0.25, 0, -0.5], [0.25, 4, 0]]
    with torch.no_grad():
        fresh.weight.zero_()
    made = reinitialised(pruned, fresh, CONTEXT)
    assert counts(made) == counts(pruned)
    assert float(made.weight.detach().abs().max()) < 1e-30


def test_a_cut_shape_is_reinitialised(network: nn.Module, images: Tensor) -> None:
    pruned, fresh = cut(network), again(network)
    made = reinitialised(pruned, fresh, CONTEXT)
    assert shapes(made) == shapes(pruned)
    assert counts(made) == counts(pruned)
    assert type(made) is type(pruned)
    assert made(images).isfinite().all()
    # nothing of the pruned network's own values is left
    for name, weight in prunable(made).items():
        assert not bool((weight == pruned.state_dict()[name]).any())


def test_signals_keep_their_size_in_a_narrower_shape() -> None:
    generator = torch.Generator().manual_seed(0)
    wide = nn.Sequential(nn.Linear(64, 400), nn.ReLU(), nn.Linear(400, 300))
    with torch.no_grad():
        for layer in (wide[0], wide[2]):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * (2 / layer.in_features) ** 0.5)
            layer.bias.zero_()
    context = Context(example=torch.zeros(1, 64))
    narrow = width_reduced(wide, remaining(wide) // 4, context)
    # 64 n + 300 n = 36400: n = 100
    assert narrow[2].weight.shape == (300, 100)
    # first layer: fan-in 64 before and after; second: 400 before, 100 after: twice as large
    assert torch.equal(narrow[0].weight, wide[0].weight[:100])
    torch.testing.assert_close(narrow[2].weight, 2 * wide[2].weight[:, :100], rtol=0, atol=0)
    inputs = torch.randn(500, 64, generator=generator)
    before, after = (network(inputs).std().item() for network in (wide, narrow))
    assert after == pytest.approx(before, rel=0.1)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_widths_are_reduced_evenly_to_the_budget(network: nn.Module, images: Tensor, share: float) -> None:
    groups = coupled_channels(network, CONTEXT.example)
    least = remaining(FilterNorm()(network, keep=1, context=CONTEXT))
    keep = max(least, int(share * remaining(network)))
    made = width_reduced(network, keep, CONTEXT)
    # the same widths as those of a pruner with the same budget for each group
    assert shapes(made) == shapes(FilterNorm(allocation="uniform")(network, keep=keep, context=CONTEXT))
    kept = kept_widths(network, made, groups)
    shares = [kept[group] / group.size for group in groups]
    assert max(shares) - min(shares) <= max(1 / group.size for group in groups)
    assert made(images).shape == network(images).shape


def test_a_copycat_of_the_same_budget_has_the_same_widths(network: nn.Module, images: Tensor) -> None:
    reference = cut(network, 0.5)
    made = copycat(reference, again(network), remaining(reference), CONTEXT)
    assert shapes(made) == shapes(reference)
    assert not same(made, reference)
    assert made(images).shape == network(images).shape


def test_a_copycat_scales_the_profile() -> None:
    generator = torch.Generator().manual_seed(0)
    parent = nn.Sequential(
        nn.Linear(2, 8, bias=False), nn.ReLU(), nn.Linear(8, 20, bias=False), nn.ReLU(), nn.Linear(20, 2, bias=False)
    )
    with torch.no_grad():
        for parameter in parent.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    context = Context(example=torch.zeros(1, 2))
    reference = nn.Sequential(
        nn.Linear(2, 6, bias=False), nn.ReLU(), nn.Linear(6, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False)
    )
    # profile (6, 4). Halved: (3, 2), with 2 * 3 + 3 * 2 + 2 * 2 = 16 weights
    half = copycat(reference, parent, 16, context)
    assert [layer.out_features for layer in (half[0], half[2])] == [3, 2]
    # times 4/3: (8, 16/3), the first being full: 2 * 8 + 8 * 5 + 5 * 2 = 66 weights
    wider = copycat(reference, parent, 66, context)
    assert [layer.out_features for layer in (wider[0], wider[2])] == [8, 5]
    # times 3: (18, 12), of which the first has but 8: 16 + 8 * 12 + 24 = 136
    widest = copycat(reference, parent, 136, context)
    assert [layer.out_features for layer in (widest[0], widest[2])] == [8, 12]
    # however small the budget, one channel of each group stays
    least = copycat(reference, parent, 1, context)
    assert [layer.out_features for layer in (least[0], least[2])] == [1, 1]


def test_widths_are_read_off_shapes(network: nn.Module) -> None:
    groups = coupled_channels(network, CONTEXT.example)
    pruned = cut(network, 0.6)
    kept = kept_widths(network, pruned, groups)
    assert set(kept) == set(groups)
    for group in groups:
        # the first layer that produces a group produces nothing else in these networks
        side = group.sides[0]
        layer = pruned.get_submodule(side.layer)
        width = getattr(layer, "out_features", getattr(layer, "out_channels", None))
        alone = sum(other.layer == side.layer and other.direction == "out" for g in groups for other in g.sides) == 1
        repeats = int((side.channels >= 0).sum()) / group.size
        if alone and bool((side.channels >= 0).all()):
            assert kept[group] * repeats == width


def test_networks_of_other_architectures_are_refused(build: Callable[[str], nn.Module]) -> None:
    network, other = build("chain"), build("vgg")
    for control in DRAWN:
        with pytest.raises(ValueError, match="expected a network pruned from the same architecture"):
            control(network, other, CONTEXT)
        with pytest.raises(ValueError, match=r"expected at most the \d+ weights of the parent in"):
            control(masked(network), network, CONTEXT)
    with pytest.raises(ValueError, match="expected a network pruned from the same architecture"):
        reinitialised(other, network, CONTEXT)
    with pytest.raises(ValueError, match="expected a network pruned from the same architecture"):
        reinitialised(network, cut(network), CONTEXT)


def test_widths_that_no_cut_gives() -> None:
    parent = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    wrong = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2))
    groups = coupled_channels(parent, torch.zeros(1, 2))
    with pytest.raises(ValueError, match="expected a network cut from the same architecture, got widths"):
        kept_widths(parent, wrong, groups)
    with pytest.raises(ValueError, match="expected a network cut from the same architecture, got widths"):
        kept_widths(parent, wrong, [])


def test_budgets_and_references_are_checked(build: Callable[[str], nn.Module]) -> None:
    network = build("chain")
    left = remaining(network)
    for keep in (0, left + 1):
        for make in (width_reduced, lambda fresh, keep, context: copycat(cut(network), fresh, keep, context)):
            with pytest.raises(ValueError, match=f"expected 1 <= keep <= {left}"):
                make(network, keep, CONTEXT)
    with pytest.raises(ValueError, match="expected a reference with fewer channels, got one with all of them"):
        copycat(masked(network), network, left // 2, CONTEXT)
    alone = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    with pytest.raises(ValueError, match="expected a network with channels that can be removed"):
        width_reduced(alone, 10, CONTEXT)
