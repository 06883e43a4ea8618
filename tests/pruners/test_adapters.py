from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralnets.training_hook import Hook
from neuralnets.weights import prunable, remaining
from pruners import Context, adapted, cascade, merged, sgd
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude

pytestmark = pytest.mark.slow

CONTEXT = Context(example=torch.zeros(1, 3, 8, 8))


def fitted(student: nn.Module, images: Tensor) -> nn.Module:
    """Trained as any loop does that takes what requires a gradient; momentum and weight decay on."""
    trained = deepcopy(student).train()
    free = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    steps = torch.optim.SGD(free, lr=0.05, momentum=0.9, weight_decay=1e-2)
    for _ in range(5):
        steps.zero_grad()
        trained(images).flatten(1).square().mean().backward()
        steps.step()
    return trained.eval()


def sparse(network: nn.Module) -> nn.Module:
    return Magnitude()(network, keep=remaining(network) // 3, context=CONTEXT)


def test_nothing_changes_at_the_start(network: nn.Module, images: Tensor) -> None:
    before = deepcopy(network)
    torch.testing.assert_close(adapted(network, 2)(images), network(images), rtol=0, atol=0)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), before.parameters(), strict=True))
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_what_is_merged_computes_the_same_and_stays_sparse(network: nn.Module, images: Tensor) -> None:
    pruned = sparse(network)
    trained = fitted(adapted(pruned, 2), images)
    plain = merged(trained)
    torch.testing.assert_close(plain(images), trained(images), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(plain(images), pruned(images), atol=1e-3)
    assert type(plain) is type(pruned)
    assert list(plain.state_dict()) == list(pruned.state_dict())
    for old, new in zip(prunable(pruned).values(), prunable(plain).values(), strict=True):
        assert torch.equal(old == 0, new == 0)
        assert not torch.equal(old, new)
    assert all(parameter.requires_grad for parameter in plain.parameters())
    assert all(parameter.grad is None for parameter in plain.parameters())


def test_only_adapters_biases_and_normalisation_move(build: Callable[[str], nn.Module], images: Tensor) -> None:
    network = build("transformer")
    trained = fitted(adapted(network, 2), images)
    plain, before = merged(trained), network.state_dict()
    still = {name for name, tensor in plain.state_dict().items() if torch.equal(tensor, before[name])}
    assert still == {"token", "positions", "normalize.mean", "normalize.std"}
    frozen = trained.network.state_dict()
    assert all(torch.equal(frozen[name], before[name]) for name in prunable(network))


def test_trainable_parameters_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 12, 3, groups=4),
        nn.PReLU(),
        nn.Flatten(),
        nn.Linear(12, 2),
    )
    student = adapted(network, 4)
    free = sum(parameter.numel() for parameter in student.parameters() if parameter.requires_grad)
    # 4 * (8 + 27) for 8 x 27; 4 * (12 + 18) for 12 x 18; the rank is at most 2 for 2 x 12: 2 * (2 + 12);
    # gamma and beta 16; biases 12 and 2; the PReLU's slope is frozen
    assert free == 140 + 120 + 28 + 16 + 12 + 2
    assert (
        sum(parameter.numel() for parameter in student.parameters() if not parameter.requires_grad)
        == 216 + 216 + 24 + 1
    )


def test_the_change_has_the_rank_that_was_asked(images: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 20), nn.ReLU(), nn.Linear(20, 4))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 14)
    plain = merged(fitted(adapted(network.double(), 3), images.double()))
    for name, rank in (("1.weight", 3), ("3.weight", 3)):
        change = plain.get_parameter(name) - network.get_parameter(name)
        assert int(torch.linalg.matrix_rank(change, rtol=1e-9)) == rank


def test_a_frozen_parameter_is_frozen_again_after_merging(build: Callable[[str], nn.Module]) -> None:
    network = build("chain")
    network[1].weight.requires_grad_(requires_grad=False)
    flags = [parameter.requires_grad for parameter in network.parameters()]
    assert [parameter.requires_grad for parameter in merged(adapted(network, 1)).parameters()] == flags


@pytest.mark.parametrize("training", [False, True])
def test_the_mode_is_kept(build: Callable[[str], nn.Module], training: bool) -> None:
    student = adapted(build("vgg").train(training), 1)
    assert all(module.training == training for module in student.modules())
    assert all(module.training == training for module in merged(student).modules())
    assert all(module.training for module in merged(student.train()).modules())


def test_statistics_are_measured_in_training(build: Callable[[str], nn.Module], images: Tensor) -> None:
    network = build("projection")
    plain = merged(fitted(adapted(network, 1), images))
    assert not torch.equal(plain[2].running_mean, network[2].running_mean)
    assert int(plain[2].num_batches_tracked) == 5


def test_the_seed_is_all_that_is_random(build: Callable[[str], nn.Module]) -> None:
    one, same, other = (adapted(build("chain"), 2, seed=seed) for seed in (3, 3, 4))
    pairs = list(zip(one.parameters(), same.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_half_precision(build: Callable[[str], nn.Module], images: Tensor) -> None:
    network = sparse(build("chain").bfloat16())
    trained = fitted(adapted(network, 2), images.bfloat16())
    plain = merged(trained)
    assert all(parameter.dtype == torch.bfloat16 for parameter in plain.parameters())
    torch.testing.assert_close(plain(images.bfloat16()), trained(images.bfloat16()), rtol=0, atol=0)
    for old, new in zip(prunable(network).values(), prunable(plain).values(), strict=True):
        assert not bool((new != 0)[old == 0].any())


@pytest.mark.parametrize("pruner", [Magnitude(), FilterNorm()])
def test_a_cascade_retrained_with_adapters(
    build: Callable[[str], nn.Module], images: Tensor, pruner: Magnitude | FilterNorm
) -> None:
    labels = torch.tensor([0, 1, 2, 3])
    train = sgd(lambda: [(images, labels)], steps=30, learning_rate=0.05)

    class Quiet(Hook):
        pass

    network = build("projection")

    def retrain(pruned: nn.Module, step: int) -> nn.Module:
        return merged(train(adapted(pruned, 2), Quiet()))

    steps = list(cascade(network, pruner, (0.3, 0.6), context=CONTEXT, retrain=retrain))
    cut = list(cascade(network, pruner, (0.3, 0.6), context=CONTEXT))
    assert [step.prune_ratio for step in steps] == [step.prune_ratio for step in cut]
    assert F.cross_entropy(steps[0].network(images), labels) < F.cross_entropy(cut[0].network(images), labels)


@pytest.mark.parametrize("rank", [0, -1])
def test_rank_out_of_range(build: Callable[[str], nn.Module], rank: int) -> None:
    with pytest.raises(ValueError, match=f"expected rank >= 1, got {rank}"):
        adapted(build("chain"), rank)


def test_nothing_to_adapt_or_merge() -> None:
    with pytest.raises(ValueError, match="expected a network with convolutions or linear layers to adapt, got none"):
        adapted(nn.ReLU(), 1)
    with pytest.raises(TypeError, match="expected a network made by `adapted`, got Linear"):
        merged(nn.Linear(2, 2))
