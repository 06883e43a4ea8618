import math
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruners import apply_masks
from pruners._layer_trials import Layers, Outcome, masks_for, read_layers, to_budget, trial


def layers(*sizes: int) -> Layers:
    return Layers(
        names=tuple(str(place) for place in range(len(sizes))),
        ranks=tuple(torch.arange(size) for size in sizes),
        sizes=sizes,
    )


@pytest.mark.parametrize(
    ("sizes", "densities", "keep", "expected"),
    [
        # size times density: 4 to 1
        ((8, 4), (0.5, 0.25), 5, (4, 1)),
        # the same proportion at most of what there is: 8 of 8, and 2
        ((8, 4), (0.5, 0.25), 10, (8, 2)),
        # the first is full, the second takes the rest
        ((8, 4), (0.5, 0.25), 11, (8, 3)),
        ((8, 4), (0.5, 0.25), 12, (8, 4)),
        # 3 to 2 to 1: of 7 that is 3.5, 2.33, 1.17; at a factor of 1.17 rounded 4 (3.51), 2, 1
        ((10, 10, 10), (0.3, 0.2, 0.1), 7, (4, 2, 1)),
        # each keeps its largest weight first, even at a density of nothing
        ((100, 100), (1.0, 0.0), 50, (49, 1)),
        ((9, 5), (1.0, 1.0), 2, (1, 1)),
        # the smallest layers are emptied first
        ((9, 5, 7), (0.1, 1.0, 1.0), 2, (1, 0, 1)),
        ((9, 5, 7), (0.1, 1.0, 1.0), 1, (1, 0, 0)),
    ],
)
def test_budgets_by_hand(
    sizes: tuple[int, ...], densities: Sequence[float], keep: int, expected: tuple[int, ...]
) -> None:
    assert to_budget(layers(*sizes), densities, keep) == expected


@pytest.mark.parametrize("seed", range(4))
def test_budgets_add_up_whatever_the_densities(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    sizes = tuple(torch.randint(1, 60, (6,), generator=generator).tolist())
    densities = torch.rand(6, generator=generator).square().tolist()
    before = (0,) * 6
    for keep in range(1, sum(sizes) + 1):
        result = to_budget(layers(*sizes), densities, keep)
        assert sum(result) == keep
        assert all(0 <= few <= size for few, size in zip(result, sizes, strict=True))
        # one more is one more somewhere, never fewer elsewhere
        assert all(less <= more for less, more in zip(before, result, strict=True))
        before = result


def net() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network


def batches(count: int = 21) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    images, labels = torch.randn(count, 4, generator=generator), torch.randint(3, (count,), generator=generator)
    # of unequal sizes, so that a mean of means would differ
    return list(zip(images.split(8), labels.split(8), strict=True))


def test_the_largest_weights_stay_and_of_equal_ones_the_first() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, -3.0, 0.0], [2.0, -2.0, 2.0]]))
        network[1].weight.copy_(torch.tensor([[0.5, -0.5]]))
    actual = read_layers(network)
    assert actual.sizes == (5, 2)
    assert torch.equal(actual.ranks[0], torch.tensor([[4, 0, 5], [1, 2, 3]]))
    masks = masks_for(network, actual, (3, 1))
    assert torch.equal(masks["0.weight"], torch.tensor([[False, True, False], [True, True, False]]))
    assert torch.equal(masks["1.weight"], torch.tensor([[True, False]]))


def test_empty_layers_are_left_out() -> None:
    network = net()
    with torch.no_grad():
        network[0].weight.zero_()
    computed = read_layers(network)
    assert computed.names == ("2.weight",)
    assert not masks_for(network, computed, (4,))["0.weight"].any()


def test_weights_that_are_not_numbers_are_refused() -> None:
    network = net()
    with torch.no_grad():
        network[2].weight[0, 0] = math.nan
    with pytest.raises(ValueError, match=r"expected weights without NaN, got NaN in 2\.weight"):
        read_layers(network)


def test_attempts_are_what_the_pruned_network_does() -> None:
    network, data = net(), batches()
    result = read_layers(network)
    attempt = trial(network, result, data)
    images, labels = (torch.cat(each) for each in zip(*data, strict=True))
    # down and up again: nothing of an earlier attempt is left
    for counts in [(20, 15), (3, 15), (20, 15), (7, 2), (1, 1), (7, 9), (20, 15)]:
        outcome = attempt(counts)
        with torch.no_grad():
            logits = apply_masks(network, masks_for(network, result, counts))(images)
        assert outcome.accuracy == pytest.approx(100 * float((logits.argmax(1) == labels).float().mean()))
        assert outcome.loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
        right = logits.softmax(1)[torch.arange(len(labels)), labels]
        assert outcome.likelihood == pytest.approx(100 * float(right.log().mean().exp()), rel=1e-5)


def test_the_network_that_is_tried_is_a_copy_in_evaluation_mode() -> None:
    network = nn.Sequential(net(), nn.Dropout(0.5)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    attempt = trial(network, read_layers(network), batches())
    assert attempt((4, 4)) == attempt((4, 4))
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_outputs_that_are_not_numbers_are_worth_nothing() -> None:
    network = net()
    with torch.no_grad():
        network[2].bias.fill_(math.nan)
    outcome = trial(network, read_layers(network), batches())((20, 15))
    assert outcome.loss == math.inf
    assert outcome.likelihood == 0
    assert Outcome(accuracy=0, loss=0).likelihood == 100
