from collections.abc import Callable, Iterable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from neuralnets.weights import prunable, remaining
from pruners import Context
from pruners._saliency import balanced
from pruners.snip import SNIP

Build = Callable[[str], nn.Module]
NAMES = ("chain", "projection", "padding", "vgg", "dense", "mobile", "grouped", "transformer", "mixed")


def pictures(count: int = 20, size: int = 8) -> Callable[[], Iterable[tuple[Tensor, Tensor]]]:
    def batches() -> Iterable[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(5)
        images = torch.rand(count, 3, 8, 8, generator=generator)
        labels = torch.arange(count) % 4
        yield from zip(images.split(size), labels.split(size), strict=True)

    return batches


def looking(count: int = 20, size: int = 8) -> Context:
    return Context(example=torch.zeros(1, 3, 8, 8), batches=pictures(count, size))


def numbers(*rows: tuple[list[float], int]) -> Context:
    """A context of examples that are plain vectors."""
    images, labels = torch.tensor([row for row, _ in rows]), torch.tensor([label for _, label in rows])
    return Context(example=torch.zeros(1, images.shape[1]), batches=lambda: [(images, labels)])


def linear(*rows: list[float]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight = nn.Parameter(torch.tensor(rows))
    return layer


def test_by_hand() -> None:
    # logits (0, 0) for x = (1, 2): softmax 1/2 each; dL/dlogits = (-1/2, 1/2) for label 0; dL/dW = outer with x
    network = linear([2.0, -1.0], [4.0, -2.0])
    result = SNIP().score(network, numbers(([1.0, 2.0], 0)))["weight"]
    assert torch.allclose(result, torch.tensor([[2 * 0.5, 1 * 1.0], [4 * 0.5, 2 * 1.0]]), atol=1e-7)
    assert SNIP()(network, keep=2, context=numbers(([1.0, 2.0], 0))).weight.tolist() == [[0, 0], [4, -2]]


def test_slopes_are_summed_before_the_absolute_value() -> None:
    # labels 0 and 1 at logits of zero pull in opposite directions: nothing is left, though each example alone pulls
    network = linear([2.0, -1.0], [4.0, -2.0])
    outcome = SNIP().score(network, numbers(([1.0, 2.0], 0), ([1.0, 2.0], 1)))["weight"]
    assert outcome.abs().max() < 1e-7


def test_it_is_weight_times_gradient_and_the_gradient_of_masks(build: Build) -> None:
    network = build("projection")
    images, labels = (torch.cat(parts) for parts in zip(*looking().batches(), strict=True))
    actual = SNIP(batch_statistics=False).score(network, looking())
    F.cross_entropy(network(images), labels).backward()
    for name, weight in prunable(network).items():
        assert torch.allclose(actual[name], (weight * weight.grad).abs(), rtol=1e-4, atol=1e-7)
    # the definition: masks c of ones on the weights
    masks = {name: torch.ones_like(weight, requires_grad=True) for name, weight in prunable(network).items()}
    masked = {name: weight.detach() * masks[name] for name, weight in prunable(network).items()}
    loss = F.cross_entropy(functional_call(network, masked, (images,)), labels)
    slopes = torch.autograd.grad(loss, list(masks.values()))
    for name, slope in zip(masks, slopes, strict=True):
        assert torch.allclose(actual[name], slope.abs(), rtol=1e-4, atol=1e-7)


def test_batch_statistics_by_the_networks_own_training_mode(build: Build) -> None:
    network = build("projection")
    images, labels = (torch.cat(parts) for parts in zip(*looking().batches(), strict=True))
    computed = SNIP().score(network, looking())
    F.cross_entropy(network.train()(images), labels).backward()
    for name, weight in prunable(network).items():
        assert torch.allclose(computed[name], (weight * weight.grad).abs(), rtol=1e-4, atol=1e-6)
    other = SNIP(batch_statistics=False).score(network, looking())
    assert not torch.allclose(computed["1.weight"], other["1.weight"], rtol=0.1)


def test_without_batch_norm_batches_do_not_matter(build: Build) -> None:
    network = build("mixed")
    whole, parts = (SNIP(batch_size=size).score(network, looking()) for size in (128, 3))
    assert all(torch.allclose(whole[name], parts[name], rtol=1e-4, atol=1e-8) for name in whole)


def test_dropout_stays_off(build: Build) -> None:
    network = build("vgg")
    one, other = (SNIP().score(network, looking()) for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_one_forward_pass_a_batch_and_one_for_the_number_of_classes(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, observed = build("chain"), []
    forward = nn.Sequential.forward

    def counting(self: nn.Sequential, images: Tensor) -> Tensor:
        observed.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(nn.Sequential, "forward", counting)
    SNIP(batch_size=10)(network, keep=50, context=looking())
    assert observed == [1, 10, 10]


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_network(build: Build, name: str) -> None:
    network = build(name)
    assert remaining(SNIP()(network, keep=50, context=looking())) == 50


def test_a_network_that_gives_pictures_is_refused(build: Build) -> None:
    with pytest.raises(ValueError, match="expected a network that returns logits"):
        SNIP()(build("decoder"), keep=50, context=looking())


def test_pruned_weights_stay_so_and_dead_layers_do_not_matter(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network[4].weight.zero_()
    left = remaining(network)
    pruned = SNIP()(network, keep=left // 2, context=looking())
    assert remaining(pruned) == left // 2
    assert not pruned[4].weight.any()


def test_nan_is_said(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network[1].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="expected scores without NaN, got NaN for"):
        SNIP()(network, keep=50, context=looking())


def test_as_many_of_every_class_in_even_batches() -> None:
    # sorted by class, as folders are: 0 0 0 1 1 2 2 2 2
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])
    images = torch.arange(9.0)[:, None]
    context = Context(example=torch.zeros(1, 1), batches=lambda: zip(images.split(2), labels.split(2), strict=True))
    network = nn.Linear(1, 3)
    result = balanced(network, context, per_class=2, batch_size=5)
    assert [each.flatten().tolist() for each, _ in result] == [[0, 1, 3], [4, 5, 6]]
    assert [each.tolist() for _, each in result] == [[0, 0, 1], [1, 2, 2]]
    # a class that is short gives what it has
    result = balanced(network, context, per_class=3, batch_size=5)
    assert [each.tolist() for _, each in result] == [[0, 0, 0, 1], [1, 2, 2, 2]]
    # six by batches of five: three and three, never five and one
    assert [len(each) for each, _ in balanced(network, context, per_class=2, batch_size=5)] == [3, 3]


def test_no_more_batches_are_drawn_than_needed() -> None:
    drawn = []

    def batches() -> Iterable[tuple[Tensor, Tensor]]:
        for number in range(100):
            drawn.append(number)
            yield torch.zeros(4, 1), torch.tensor([0, 1, 1, 1])

    balanced(nn.Linear(1, 2), Context(example=torch.zeros(1, 1), batches=batches), per_class=3, batch_size=8)
    assert len(drawn) == 3


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected labels below 2, as many as the network has, got 7"):
        SNIP()(linear([1.0], [2.0]), keep=1, context=numbers(([1.0], 0), ([1.0], 7)))


def test_no_examples_are_refused() -> None:
    empty = Context(example=torch.zeros(1, 1), batches=list)
    with pytest.raises(ValueError, match="expected at least one training example"):
        SNIP()(linear([1.0], [2.0]), keep=1, context=empty)


@pytest.mark.parametrize("field", ["per_class", "batch_size"])
def test_fields_have_ranges(field: str) -> None:
    with pytest.raises(ValueError, match=f"expected {field} >= 1, got 0"):
        SNIP(**{field: 0})
