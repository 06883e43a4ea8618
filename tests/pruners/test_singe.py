from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralnets.weights import remaining
from pruners import Context, coupled_channels
from pruners._channels import ChannelGroup, mask_channels
from pruners.singe import SInGE, integrated

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]
CLASSIFIERS = ["chain", "projection", "padding", "vgg", "dense", "mobile", "grouped", "transformer", "mixed"]


def batches(sizes: Sequence[int] = (5, 3)) -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for size in sizes:
        yield torch.rand(size, 3, 8, 8, generator=generator), torch.randint(4, (size,), generator=generator)


CONTEXT = Context(example=torch.zeros(1, 3, 8, 8), batches=batches)


def scored(network: nn.Module, pruner: SInGE, context: Context = CONTEXT) -> dict[str, Tensor]:
    groups = coupled_channels(network, context.example)
    result = pruner.score(network, groups, context)
    return {str(group): score for group, score in zip(groups, result, strict=True)}


def mean_loss(network: nn.Module) -> Tensor:
    losses = [F.cross_entropy(network(images), labels, reduction="none") for images, labels in batches()]
    return torch.cat(losses).mean()


def two_channels() -> tuple[nn.Module, Context]:
    """One channel of weight 2 that speaks for the right class with 1/2, and a silent one."""
    network = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[2.0], [-1.0]]))
        network[2].weight.copy_(torch.tensor([[0.5, 3.0], [0.0, 0.0]]))
    data = [(torch.ones(1, 1), torch.tensor([0]))]
    return network, Context(example=torch.zeros(1, 1), batches=lambda: data)


def test_norms_by_hand() -> None:
    # L = log(1 + exp(-w / 2)) of w = 2: at c w it is dL/dw = -1/2 / (1 + e^c), so that with mu = 1/2 and two steps
    # the score is 2 * 1/2 / (1 + e) and 1 * 1/2 / (1 + e^(1/2)) together
    network, context = two_channels()
    (outcome,) = scored(network, SInGE(mu=0.5, steps=2), context).values()
    assert outcome.tolist() == [pytest.approx(1 / (1 + torch.e) + 0.5 / (1 + torch.e**0.5)), 0]


def test_integrated_gradients_by_hand() -> None:
    # the whole change, log 2 - log(1 + 1/e), falls to the only channel that speaks
    network, context = two_channels()
    (actual,) = scored(network, SInGE(integral="ig", steps=200), context).values()
    change = torch.log(torch.tensor(2.0)) - torch.log(torch.tensor(1 + 1 / torch.e))
    assert actual.tolist() == [pytest.approx(float(change), rel=1e-4), 0]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_integrated_gradients_are_complete(build: Build, name: str) -> None:
    network = build(name)
    groups = coupled_channels(network, CONTEXT.example)
    whole = [(torch.cat([images for images, _ in batches()]), torch.cat([labels for _, labels in batches()]))]
    for group in dict.fromkeys((groups[0], groups[-1])):
        removed = mask_without(network, group)
        expected = float((mean_loss(network) - mean_loss(removed)).detach())
        computed = float(integrated(network, group, whole, steps=60).sum())
        assert computed == pytest.approx(expected, rel=5e-3, abs=2e-4)


def mask_without(network: nn.Module, group: ChannelGroup) -> nn.Module:
    """Without all channels of a group, which `mask_channels` does in two halves."""
    half = torch.arange(group.size) % 2 == 0
    if group.size > 1:
        network = mask_channels(mask_channels(network, {group: half}), {group: ~half})
    return network


@pytest.mark.parametrize(
    ("name", "producer", "norm"), [("chain", "1", "2"), ("projection", "4.conv1", "4.bn1"), ("grouped", "0", "1")]
)
@pytest.mark.parametrize("p", [1.0, 2.0])
def test_the_way_shrinks_filters_folded_with_their_normalisation(
    build: Build, name: str, producer: str, norm: str, p: float
) -> None:
    # the definition itself: the layer with its normalisation folded in, weight and bias scaled by mu^s, and at each
    # point the norm of the weights there times that of their gradient
    network = build(name)
    pruner = SInGE(mu=0.7, steps=4, p=p)
    result = next(score for key, score in scored(network, pruner).items() if key.startswith(producer))
    folded = deepcopy(network)
    conv, bn = folded.get_submodule(producer), folded.get_submodule(norm)
    factor = bn.weight / (bn.running_var + bn.eps).sqrt()
    bias = torch.zeros(len(factor)) if conv.bias is None else conv.bias
    with torch.no_grad():
        conv.bias = nn.Parameter(bn.bias + (bias - bn.running_mean) * factor)
        conv.weight.mul_(factor[:, None, None, None])
    folded.set_submodule(norm, nn.Identity())
    expected = torch.zeros(len(result))
    for step in range(4):
        if step:
            with torch.no_grad():
                conv.weight.mul_(0.7)
                conv.bias.mul_(0.7)
        (slope,) = torch.autograd.grad(mean_loss(folded), conv.weight)
        # a channel of a grouped convolution is several filters
        products = conv.weight.detach().flatten(1).norm(p, dim=1) * slope.flatten(1).norm(p, dim=1)
        expected += products.view(-1, len(result)).sum(0)
    torch.testing.assert_close(result.float(), expected, rtol=1e-3, atol=1e-7)


def test_layers_that_share_channels_are_added_up(build: Build) -> None:
    # with one step it is the norm of the weights times that of their gradients
    network = build("projection")
    result = next(score for key, score in scored(network, SInGE(steps=1)).items() if "5.conv2" in key)
    weights = [network.get_parameter(f"{name}.weight") for name in ("5.conv2", "5.shortcut.0", "6.conv2")]
    slopes = torch.autograd.grad(mean_loss(network), weights)
    parts = [w.detach().flatten(1).norm(dim=1) * g.flatten(1).norm(dim=1) for w, g in zip(weights, slopes, strict=True)]
    torch.testing.assert_close(result.float(), torch.stack(parts).sum(0), rtol=1e-4, atol=1e-8)


def test_how_examples_are_batched_does_not_matter(build: Build) -> None:
    network = build("vgg")
    whole = [tuple(torch.cat(parts) for parts in zip(*batches(), strict=True))]
    context = Context(example=CONTEXT.example, batches=lambda: [(images, labels) for images, labels in whole])
    for path in (SInGE(steps=3), SInGE(steps=3, integral="ig")):
        other = scored(network, path, context)
        for name, result in scored(network, path).items():
            torch.testing.assert_close(result, other[name], rtol=1e-4, atol=1e-8)


def test_what_is_flat_here_but_not_on_the_way_is_seen() -> None:
    # one channel is so sure of itself that its gradient has vanished: only the way to zero shows what it does
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[40.0, 0.1], [0.1, 0.02]]))
        network[2].weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    data = [(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))]
    context = Context(example=torch.zeros(1, 2), batches=lambda: data)
    (result,) = scored(network, SInGE(integral="ig", steps=200), context).values()
    assert result[0] == pytest.approx((0.6931 + 0.0513) / 2, rel=0.03)
    assert result[0] > 10 * result[1]


@pytest.mark.parametrize("integral", ["norms", "ig"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_coupling(build: Build, images: Tensor, name: str, integral: str) -> None:
    network = build(name)
    pruner = SInGE(steps=3, integral="ig" if integral == "ig" else "norms")
    assert all(bool((score >= 0).all()) and bool((score > 0).any()) for score in scored(network, pruner).values())
    pruned = pruner(network, keep=remaining(network) // 2, context=CONTEXT)
    assert remaining(pruned) < remaining(network)
    assert pruned(images).shape == network(images).shape


@pytest.mark.parametrize("integral", ["norms", "ig"])
def test_dead_channels_score_nothing(build: Build, integral: str) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("2.weight")[[1, 4]] = 0
        network.get_parameter("2.bias")[[1, 4]] = -1
    result = scored(network, SInGE(steps=3, integral="ig" if integral == "ig" else "norms"))["1, 2"]
    assert result[[1, 4]].tolist() == [0, 0]
    assert int((result > 0).sum()) == 5  # one was dead before


@pytest.mark.parametrize("integral", ["norms", "ig"])
@pytest.mark.parametrize(("images", "sizes"), [(4, [4]), (7, [5, 2]), (100, [5, 3])])
def test_one_pass_per_group_step_and_batch(build: Build, integral: str, images: int, sizes: list[int]) -> None:
    network = build("chain")
    groups = coupled_channels(network, CONTEXT.example)
    calls: list[int] = []
    network.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    SInGE(images=images, steps=3, integral="ig" if integral == "ig" else "norms").score(network, groups, CONTEXT)
    assert calls == sizes * 3 * len(groups)


def test_nan_is_refused(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("1.weight")[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="expected scores without NaN, got NaN in 1, 2"):
        SInGE(steps=1)(network, keep=100, context=CONTEXT)


def test_hyperparameters_out_of_range() -> None:
    for pruner, message in (
        (lambda: SInGE(images=0), "expected images >= 1, got 0"),
        (lambda: SInGE(steps=0), "expected steps >= 1, got 0"),
        (lambda: SInGE(p=0.5), "expected p >= 1, got 0.5"),
        (lambda: SInGE(mu=1.0), r"expected mu in \(0, 1\), got 1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            pruner()
