from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralnets.weights import remaining
from pruners import Context, coupled_channels
from pruners.taylor import Taylor

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]
CLASSIFIERS = ["chain", "projection", "padding", "vgg", "dense", "mobile", "grouped", "transformer", "mixed"]


def batches(sizes: Sequence[int] = (5, 3)) -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for size in sizes:
        yield torch.rand(size, 3, 8, 8, generator=generator), torch.randint(4, (size,), generator=generator)


CONTEXT = Context(example=torch.zeros(1, 3, 8, 8), batches=batches)


def scored(network: nn.Module, pruner: Taylor, context: Context = CONTEXT) -> dict[str, Tensor]:
    groups = coupled_channels(network, context.example)
    result = pruner.score(network, groups, context)
    return {str(group): score for group, score in zip(groups, result, strict=True)}


def loss(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(network(images), labels)


def test_one_by_hand() -> None:
    # logits (v1 a1 + v2 a2, 0) with a = relu(w x) = (2 x, x), v = (0.5, 3); dL/dg_k = (p - y) v_k a_k with
    # p = sigmoid(4 x); for x = 0.25, y = 1: p - 1 = -1 / (1 + e), for x = 0.5, y = 0: p = 1 / (1 + e^-2)
    network = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[2.0], [1.0]]))
        network[2].weight.copy_(torch.tensor([[0.5, 3.0], [0.0, 0.0]]))
    pair = (torch.tensor([[0.25], [0.5]]), torch.tensor([0, 1]))
    context = Context(example=torch.zeros(1, 1), batches=lambda: [pair])
    one, other = -1 / (1 + torch.e), 1 / (1 + torch.e**-2)
    slopes = [(one * 0.25, other * 0.5), (one * 0.75, other * 1.5)]
    (outcome,) = scored(network, Taylor(), context).values()
    assert outcome.tolist() == pytest.approx([((a + b) / 2) ** 2 for a, b in slopes])
    (outcome,) = scored(network, Taylor(per="example"), context).values()
    assert outcome.tolist() == pytest.approx([(a**2 + b**2) / 2 for a, b in slopes])


def test_batches_of_one_are_examples(build: Build) -> None:
    network = build("projection")
    singles = [
        (image[None], label[None]) for images, labels in batches() for image, label in zip(images, labels, strict=True)
    ]
    alone = Context(example=CONTEXT.example, batches=lambda: singles)
    expected = scored(network, Taylor(per="example"))
    for name, actual in scored(network, Taylor(), alone).items():
        torch.testing.assert_close(actual, expected[name], rtol=1e-4, atol=1e-9)


def test_the_gate_may_stand_behind_batch_normalisation(build: Build) -> None:
    # a gate there scales gamma and beta together: dL/dg = gamma dL/dgamma + beta dL/dbeta
    network = build("projection")
    totals = {name: torch.zeros(width) for name, width in (("4.bn1", 6), ("5.bn1", 10), ("6.bn1", 10))}
    for images, labels in batches():
        network.zero_grad()
        loss(network, images, labels).backward()
        for name in totals:
            norm = network.get_submodule(name)
            totals[name] += (norm.weight.detach() * norm.weight.grad + norm.bias.detach() * norm.bias.grad).square() / 2
    computed = scored(network, Taylor())
    for name, total in totals.items():
        block = name.split(".")[0]
        torch.testing.assert_close(computed[f"{block}.conv1, {name}"].float(), total, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "producer", "reader"),
    [("chain", "1", "4"), ("mobile", "7", "10"), ("transformer", "layers.0.fc1", "layers.0.fc2")],
)
def test_a_small_step_of_the_gate_changes_the_loss_so(build: Build, name: str, producer: str, reader: str) -> None:
    network = build(name)
    ((images, labels),) = batches((6,))
    context = Context(example=CONTEXT.example, batches=lambda: [(images, labels)])
    result = next(score for key, score in scored(network, Taylor(), context).items() if key.startswith(producer))
    whole, step = loss(network.double(), images.double(), labels), 1e-5
    for channel, score in enumerate(result):
        shrunk = deepcopy(network)
        with torch.no_grad():
            shrunk.get_parameter(f"{reader}.weight")[:, channel] *= 1 - step
        change = loss(shrunk, images.double(), labels) - whole
        assert float(score) == pytest.approx((change.item() / step) ** 2, rel=1e-2, abs=1e-9)


@pytest.mark.parametrize("per", ["batch", "example"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_coupling(build: Build, images: Tensor, name: str, per: str) -> None:
    network = build(name)
    pruner = Taylor(per="batch" if per == "batch" else "example")
    assert all(bool((score >= 0).all()) and bool((score > 0).any()) for score in scored(network, pruner).values())
    pruned = pruner(network, keep=remaining(network) // 2, context=CONTEXT)
    assert remaining(pruned) < remaining(network)
    assert pruned(images).shape == network(images).shape


def test_dead_channels_score_nothing_and_go_first(build: Build, images: Tensor) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("2.weight")[[1, 4]] = 0
        network.get_parameter("2.bias")[[1, 4]] = -1
        # alive, but nothing reads it
        network.get_parameter("4.weight")[:, 6] = 0
    result = scored(network, Taylor())["1, 2"]
    assert (result == 0).nonzero().flatten().tolist() == [1, 4, 6]
    # two channels with 27 + 12 * 9 weights, one whose readers are zero already
    pruned = Taylor()(network, keep=remaining(network) - 2 * 135 - 27, context=CONTEXT)
    assert pruned.get_submodule("1").out_channels == 5
    torch.testing.assert_close(pruned(images), network(images))


@pytest.mark.parametrize(("images", "sizes"), [(4, [4]), (5, [5]), (7, [5, 2]), (100, [5, 3])])
def test_one_pass_per_batch_of_as_many_images_as_asked(build: Build, images: int, sizes: list[int]) -> None:
    network = build("projection")
    groups = coupled_channels(network, CONTEXT.example)
    calls: list[int] = []
    network.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    Taylor(images=images).score(network, groups, CONTEXT)
    assert calls == sizes


def test_an_overflow_is_refused(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("4.weight")[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="expected scores without NaN"):
        Taylor()(network, keep=100, context=CONTEXT)


def test_at_least_one_image() -> None:
    with pytest.raises(ValueError, match="expected images >= 1, got 0"):
        Taylor(images=0)
