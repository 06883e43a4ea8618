from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import minimum_spanning_tree
from torch import Tensor, nn

from neuralnets.weights import remaining
from pruners import Context, coupled_channels
from pruners._channels import ChannelGroup, _tensors, remove_channels
from pruners.correlation import Correlation, merges

Build = Callable[[str], nn.Module]


def batches() -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    for _ in range(2):
        yield torch.rand(6, 3, 8, 8, generator=generator), torch.randint(4, (6,), generator=generator)


CONTEXT = Context(example=torch.zeros(1, 3, 8, 8), batches=batches)


def flat(inputs: int = 2, count: int = 40) -> Context:
    data = torch.randn(count, inputs, generator=torch.Generator().manual_seed(5))
    return Context(example=torch.zeros(1, inputs), batches=lambda: [(data, torch.zeros(count, dtype=torch.int64))])


def observed(context: Context) -> Tensor:
    assert context.batches is not None
    return torch.cat([images for images, _ in context.batches()])


def duplicate(network: nn.Module, group: ChannelGroup, source: int, target: int) -> None:
    """Makes one channel compute exactly what another does, wherever it is produced, scaled or shifted."""
    for side in group.sides:
        if side.direction == "out":
            layer = network.get_submodule(side.layer)
            for name, dim in _tensors(layer, "out"):
                tensor = getattr(layer, name).detach()
                channels = side.channels[: tensor.shape[dim]]
                froms, tos = ((channels == channel).nonzero().squeeze(1) for channel in (source, target))
                tensor.index_copy_(dim, tos, tensor.index_select(dim, froms))


def all_but(group: ChannelGroup, channel: int) -> Tensor:
    return torch.arange(group.size) != channel


def test_copies_go_first_and_the_outputs_stay(network: nn.Module, images: Tensor) -> None:
    groups = coupled_channels(network, CONTEXT.example)
    for group in groups:
        duplicate(network, group, 0, 1)
    expected = network(images)
    pruner = Correlation()
    keep = {}
    for group, score in zip(groups, pruner.score(network, groups, CONTEXT), strict=True):
        lowest = int(score.argmin())
        # a dead channel may go even before
        if lowest not in (0, 1):
            assert float(score[lowest]) == 0
            lowest = 1
        assert float(score[[0, 1]].amin()) < 1e-9
        keep[group] = all_but(group, lowest)
    result = remove_channels(pruner.refit(network, keep, CONTEXT), keep)(images)
    assert torch.allclose(result, expected, atol=1e-5)
    # without the refit they do not
    assert not torch.allclose(remove_channels(network, keep)(images), expected, atol=1e-3)


def test_copies_go_first_in_the_whole_call(build: Build, images: Tensor) -> None:
    network = build("chain")
    for name in ("2.bias", "4.bias"):
        network.get_parameter(name).detach().add_(3)  # a dead channel, which chance may make, would go even before
    first, second = coupled_channels(network, CONTEXT.example)
    duplicate(network, first, 2, 5)
    duplicate(network, second, 3, 7)
    keep = remaining(remove_channels(network, {first: all_but(first, 5), second: all_but(second, 7)}))
    pruned = Correlation()(network, keep=keep, context=CONTEXT)
    assert remaining(pruned) == keep
    assert torch.allclose(pruned(images), network(images), atol=1e-5)


def correlations(*values: float) -> Tensor:
    """A matrix with these entries above the diagonal, row by row."""
    size = int((2 * len(values)) ** 0.5) + 1
    outcome = torch.eye(size, dtype=torch.float64)
    rows, columns = torch.triu_indices(size, size, 1)
    outcome[rows, columns] = outcome[columns, rows] = torch.tensor(values, dtype=torch.float64)
    return outcome


def test_merges_by_hand() -> None:
    # 0-1: 0.9, 0-2: 0.1, 0-3: 0.2, 1-2: -0.5, 1-3: 0, 2-3: 0.75
    actual = merges(correlations(0.9, 0.1, 0.2, -0.5, 0, 0.75), torch.tensor([1.0, 2.0, 4.0, 3.0]))
    # 0 and 1 merge at 0.1, the weaker 0 goes; 2 and 3 at 0.25, 3 goes; {0, 1} and {2, 3} at 1 - 0.5 by 1-2, 1 goes
    assert actual.tolist() == pytest.approx([0.1, 0.5, 2, 0.25])


def test_of_equals_the_first_stays() -> None:
    assert merges(correlations(1, 1, 1), torch.ones(3)).tolist() == [2, 0, 0]


def test_constants_belong_to_no_cluster() -> None:
    # 1 is constant: it must not tie 0 and 2 together
    covariance = torch.tensor([[1, 0, 0.1], [0, 0, 0], [0.1, 0, 1]], dtype=torch.float64)
    assert merges(covariance, torch.tensor([2.0, 0.0, 1.0])).tolist() == pytest.approx([2, 0, 0.9])
    assert merges(torch.zeros(3, 3, dtype=torch.float64), torch.zeros(3)).tolist() == [2, 0, 0]
    assert merges(torch.ones(1, 1, dtype=torch.float64), torch.ones(1)).tolist() == [2]


def test_distances_are_the_edges_of_the_minimum_spanning_tree() -> None:
    values = torch.randn(20, 60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    computed = merges(values.cov(), torch.rand(20))
    edges = minimum_spanning_tree(1 - np.abs(np.corrcoef(values))).data
    assert np.allclose(np.sort(computed)[:-1], np.sort(edges))


def filled(*layers: nn.Module) -> nn.Sequential:
    network = nn.Sequential(*layers)
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for tensor in network.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return network.eval()


def affine(*, bias: bool, norm: bool) -> nn.Sequential:
    """The third of three channels is 1 - 3 times the first, the second another one."""
    norms = [nn.BatchNorm1d(4)] if norm else []
    network = filled(nn.Linear(2, 3), nn.Linear(3, 4, bias=bias), *norms, nn.Linear(4, 2))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 2.0], [1.0, -1.0], [-3.0, -6.0]]))
        network[0].bias.copy_(torch.tensor([0.0, 0.5, 1.0]))
    return network


@pytest.mark.parametrize(("bias", "norm"), [(True, False), (True, True), (False, True)])
def test_affine_copies_are_predicted_exactly(bias: bool, norm: bool) -> None:
    network, context = affine(bias=bias, norm=norm), flat()
    first = coupled_channels(network, context.example)[0]
    assert first.size == 3
    keep = {first: torch.tensor([False, True, True])}
    result = remove_channels(Correlation().refit(network, keep, context), keep)(observed(context))
    assert torch.allclose(result, network(observed(context)), atol=1e-5)


def test_without_a_place_for_the_constant_the_prediction_goes_through_the_origin() -> None:
    network, context = affine(bias=False, norm=False), flat()
    first = coupled_channels(network, context.example)[0]
    keep = {first: torch.tensor([False, True, True])}
    refitted = Correlation().refit(network, keep, context)
    hidden = network[0](observed(context)).double()
    slope = (hidden[:, 0] @ hidden[:, 2]) / (hidden[:, 2] @ hidden[:, 2])
    weight = network[1].weight.double()
    assert torch.allclose(refitted[1].weight[:, 2].double(), weight[:, 2] + slope * weight[:, 0], atol=1e-6)
    assert torch.equal(refitted[1].weight[:, 1], network[1].weight[:, 1])


def test_the_prediction_is_the_least_squares_one(build: Build) -> None:
    network, context = build("chain"), CONTEXT
    first, _ = coupled_channels(network, context.example)
    stays = torch.arange(8) < 1  # one channel speaks for all
    pruned = remove_channels(Correlation().refit(network, {first: stays}, context), {first: stays})
    hidden = network[:4](observed(context)).double().transpose(0, 1).flatten(1)
    rows = torch.stack([hidden[0], torch.ones(hidden.shape[1])]).T.double()
    slopes = torch.linalg.lstsq(rows, hidden.T).solution[0]
    expected = torch.einsum("oikl,i->okl", network[4].weight.double(), slopes)
    assert torch.allclose(pruned[4].weight[:, 0].double(), expected, atol=1e-5)


def test_constant_channels_go_first_into_the_bias() -> None:
    network = filled(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    with torch.no_grad():
        network[0].weight[1] = 0
    context = flat()
    first = coupled_channels(network, context.example)[0]
    score = Correlation().score(network, [first], context)[0]
    assert float(score[1]) == 0
    assert int((score == 0).sum()) == 1
    keep = {first: all_but(first, 1)}
    result = remove_channels(Correlation().refit(network, keep, context), keep)
    assert torch.allclose(result(observed(context)), network(observed(context)), atol=1e-5)


def test_better_than_leaving_it_at_removal(build: Build) -> None:
    for name in ("chain", "projection", "vgg", "mobile"):
        network = build(name)
        groups = coupled_channels(network, CONTEXT.example)
        scores = Correlation().score(network, groups, CONTEXT)
        keep = {group: score >= score.median() for group, score in zip(groups, scores, strict=True)}
        images = observed(CONTEXT)
        refitted = remove_channels(Correlation().refit(network, keep, CONTEXT), keep)
        errors = [
            float((each(images) - network(images)).detach().square().mean())
            for each in (refitted, remove_channels(network, keep))
        ]
        assert errors[0] < errors[1]


def test_one_look_at_every_batch_for_the_score_and_one_for_the_refit(build: Build) -> None:
    network = build("chain")
    groups = coupled_channels(network, CONTEXT.example)
    calls: list[int] = []
    network.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    Correlation().score(network, groups, CONTEXT)
    assert calls == [6, 6]
    calls.clear()
    Correlation(images=8).refit(network, {group: all_but(group, 0) for group in groups}, CONTEXT)
    assert [call for call in calls if call > 1] == [6, 2]


def test_every_kind_of_network(network: nn.Module, images: Tensor) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    pruned = Correlation()(network, keep=round(0.5 * remaining(network)), context=CONTEXT)
    assert remaining(pruned) < remaining(network)
    assert bool(pruned(images).isfinite().all())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_refusals(build: Build) -> None:
    with pytest.raises(ValueError, match="expected images >= 1, got 0"):
        Correlation(images=0)
    network = build("chain")
    with pytest.raises(ValueError, match="expected training examples"):
        Correlation()(network, keep=100, context=replace(CONTEXT, batches=None))
    with torch.no_grad():
        network.get_parameter("1.weight")[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="expected scores without NaN, got NaN in"):
        Correlation()(network, keep=100, context=CONTEXT)
