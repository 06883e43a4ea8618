from collections.abc import Callable, Iterable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralnets.weights import remaining
from pruners import Context, coupled_channels
from pruners._channels import mask_channels
from pruners.fisher import Fisher

Build = Callable[[str], nn.Module]
CLASSIFIERS = ["chain", "projection", "padding", "vgg", "dense", "mobile", "grouped", "transformer", "mixed"]


def batches(sizes: Sequence[int] = (5, 3)) -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for size in sizes:
        yield torch.rand(size, 3, 8, 8, generator=generator), torch.randint(4, (size,), generator=generator)


CONTEXT = Context(example=torch.zeros(1, 3, 8, 8), batches=batches)


def scored(network: nn.Module, pruner: Fisher, context: Context = CONTEXT) -> dict[str, Tensor]:
    groups = coupled_channels(network, context.example)
    result = pruner.score(network, groups, context)
    return {str(group): score for group, score in zip(groups, result, strict=True)}


def test_activation_times_gradient_summed_and_squared(build: Build) -> None:
    # the formula image by image: a behind the ReLU, g its gradient, 1/2 mean over n of (sum over positions of a g)^2
    network = build("chain")
    assert isinstance(network, nn.Sequential)
    squares = []
    for images, labels in batches():
        for image, label in zip(images, labels, strict=True):
            a = network[:4](image[None]).detach().requires_grad_()
            (g,) = torch.autograd.grad(F.cross_entropy(network[4:](a), label[None]), a)
            squares.append((a * g).sum((0, 2, 3)).detach() ** 2)
    expected = torch.stack(squares).double().mean(0) / 2
    torch.testing.assert_close(scored(network, Fisher())["1, 2"], expected, rtol=1e-4, atol=1e-9)


def test_how_examples_are_batched_does_not_matter(build: Build) -> None:
    network = build("projection")
    images, labels = (torch.cat(parts) for parts in zip(*batches(), strict=True))
    parts = [(images[:1], labels[:1]), (images[1:], labels[1:])]
    other = scored(network, Fisher(), Context(example=CONTEXT.example, batches=lambda: parts))
    for name, outcome in scored(network, Fisher()).items():
        torch.testing.assert_close(outcome, other[name], rtol=1e-4, atol=1e-9)


def test_a_quadratic_loss_by_hand() -> None:
    # two classes whose logits are d apart, labels half and half: L(g) = -log s(g d)/2 - log s(-g d)/2, whose
    # second derivative at any small g d is d^2 / 4; removing the channel changes L by -d^2 / 8 to leading order, the
    # absolute value of which is 1/2 mean g_n^2 with g_n = -+ d / 2
    d = 0.01
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 2, bias=False))
    with torch.no_grad():
        network[0].weight.fill_(1)
        network[2].weight.copy_(torch.tensor([[d], [0.0]]))
    pair = (torch.ones(2, 1), torch.tensor([0, 1]))
    context = Context(example=torch.zeros(1, 1), batches=lambda: [pair])
    (actual,) = scored(network, Fisher(), context).values()
    assert actual.item() == pytest.approx(d**2 / 8, rel=0.02)
    # and that is by how much the loss changes
    with torch.no_grad():
        before = F.cross_entropy(network.double()(pair[0].double()), pair[1])
        network[2].weight.zero_()
        after = F.cross_entropy(network(pair[0].double()), pair[1])
    assert abs(float(after - before)) == pytest.approx(d**2 / 8, rel=1e-2)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_coupling(build: Build, images: Tensor, name: str) -> None:
    network = build(name)
    assert all(bool((score >= 0).all()) and bool((score > 0).any()) for score in scored(network, Fisher()).values())
    pruned = Fisher()(network, keep=remaining(network) // 2, context=CONTEXT)
    assert remaining(pruned) < remaining(network)
    assert pruned(images).shape == network(images).shape


def test_dead_channels_score_nothing(build: Build) -> None:
    network = build("projection")
    groups = coupled_channels(network, CONTEXT.example)
    keep = {group: torch.arange(group.size) % 3 != 1 for group in groups}
    for group, score in zip(groups, Fisher().score(mask_channels(network, keep), groups, CONTEXT), strict=True):
        assert bool((score[~keep[group]] == 0).all())
        assert bool((score[keep[group]] > 0).any())


def test_savings_count_at_beta_per_multiplication(build: Build) -> None:
    # "vgg": 3 -> 6 at 8 x 8, 6 -> 5 at 4 x 4, each of the 5 is 16 inputs of 80 -> 9 -> 4
    network = build("vgg")
    plain = scored(network, Fisher())
    computed = scored(network, Fisher(beta=1e-6))
    savings = [64 * 9 * 3 + 16 * 9 * 5, 16 * 9 * 6 + 16 * 9, 80 + 4]
    for (name, score), saving in zip(plain.items(), savings, strict=True):
        torch.testing.assert_close(computed[name], score - 1e-6 * saving, rtol=0, atol=1e-15)


def test_dear_channels_go_first_for_a_large_beta(build: Build) -> None:
    # then only cost counts, and of the first layer one channel is left before the others lose any
    network = build("vgg")
    pruned = Fisher(beta=1e3)(network, keep=5 * 9 + 27 + 80 * 9 + 36, context=CONTEXT)
    assert [pruned.get_submodule(name).weight.shape[0] for name in ("1", "5", "8")] == [1, 5, 9]


def test_negative_scores_and_shares_do_not_go_together(build: Build) -> None:
    with pytest.raises(ValueError, match="expected finite scores >= 0"):
        Fisher(beta=1e3, allocation="flops")(build("vgg"), keep=300, context=CONTEXT)


@pytest.mark.parametrize(("images", "sizes"), [(4, [4]), (7, [5, 2]), (100, [5, 3])])
def test_one_pass_per_batch_of_as_many_images_as_asked(build: Build, images: int, sizes: list[int]) -> None:
    network = build("projection")
    groups = coupled_channels(network, CONTEXT.example)
    calls: list[int] = []
    network.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    Fisher(images=images).score(network, groups, CONTEXT)
    assert calls == sizes


def test_hyperparameters_out_of_range() -> None:
    with pytest.raises(ValueError, match="expected images >= 1, got 0"):
        Fisher(images=0)
    with pytest.raises(ValueError, match=r"expected beta >= 0, got -1.0"):
        Fisher(beta=-1.0)
