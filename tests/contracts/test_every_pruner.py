"""What the pruner contract promises, asked of every file of `pruners/`."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import pruners
from pruners import Context, Pruner, prunable, remaining, sgd

pytestmark = pytest.mark.slow

FOLDER = Path(str(pruners.__file__)).parent
PARTS = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
RATIOS = (0.3, 0.9, 0.99)
SHORTER: dict[str, dict[str, int]] = {
    "constrained_rl": {"episodes": 20},
    "singe": {"steps": 2},
    "synflow": {"iterations": 10},
}
"""What only takes time, for promises that do not depend on it; that defaults work has a test of its own."""


def part(name: str) -> type[Pruner]:
    module = import_module(f"pruners.{name}")
    classes = [each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__]
    (result,) = [each for each in classes if issubclass(each, Pruner) and not inspect.isabstract(each)]
    return result


def fill(network: nn.Module, value: Callable[[Tensor, torch.Generator], Tensor]) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(value(parameter, generator))
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return network


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 10, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(10, 3),
    )


def normal(parameter: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(parameter.shape, generator=generator)


def ties(parameter: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randint(1, 3, parameter.shape, generator=generator) / 2


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "random": lambda: fill(convolutional(), normal),
    "ties": lambda: fill(convolutional(), ties),
    "all equal": lambda: fill(convolutional(), lambda parameter, _: torch.full_like(parameter, 0.5)),
}


def batches() -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        yield torch.rand(8, 2, 6, 6, generator=generator), torch.randint(3, (8,), generator=generator)


def context(seed: int = 0) -> Context:
    train = sgd(batches, steps=12, learning_rate=1e-3)
    return Context(example=torch.zeros(1, 2, 6, 6), seed=seed, batches=batches, train=train)


def same(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@cache
def pruned_before(pruner: Pruner, kind: str, keep: int) -> nn.Module:
    """A fresh network of `kind` after a fresh call; several tests look at the same one, and none may change it."""
    return pruner(NETWORKS[kind](), keep=keep, context=context())


@pytest.fixture(params=PARTS)
def pruner(request: pytest.FixtureRequest) -> Pruner:
    return part(request.param)(**SHORTER.get(request.param, {}))


@pytest.fixture(params=NETWORKS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def network(kind: str) -> nn.Module:
    return NETWORKS[kind]()


def test_there_are_pruners() -> None:
    assert {"magnitude", "random", "synflow", "filter_norm"} <= set(PARTS)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_a_final_frozen_dataclass_with_its_own_test(name: str) -> None:
    outcome = part(name)
    assert getattr(outcome, "__final__", False)
    assert outcome.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(outcome))
    assert outcome.structure in {"weights", "channels"}
    assert hash(outcome()) == hash(outcome())
    assert outcome() == outcome()
    assert outcome.__name__.lower() == name.replace("_", "")
    assert outcome.criterion
    assert outcome.paper
    assert (Path(__file__).parents[1] / "pruners" / f"test_{name}.py").is_file()


@pytest.mark.parametrize("name", PARTS)
def test_the_defaults_work(name: str) -> None:
    actual, network = part(name), NETWORKS["random"]()
    keep = pruners.keep_for(remaining(network), 0.9)
    left = remaining(actual()(network, keep=keep, context=context()))
    assert abs(left - keep) <= (0 if actual.structure == "weights" else widest_channel(network))


@pytest.mark.parametrize("training", [False, True])
def test_the_network_is_left_as_it_was(pruner: Pruner, network: nn.Module, training: bool) -> None:
    network.train(training)
    for parameter in list(network.parameters())[::2]:
        parameter.requires_grad_(requires_grad=False)
    before = deepcopy(network)
    pruned = pruner(network, keep=remaining(network) // 3, context=context())
    assert same(network, before)
    assert all(
        a.requires_grad == b.requires_grad for a, b in zip(network.parameters(), before.parameters(), strict=True)
    )
    assert all(a.training == b.training for a, b in zip(network.modules(), before.modules(), strict=True))
    assert all(parameter.grad is None for parameter in network.parameters())
    # the copy carries mode and flags over, and shares no memory
    assert all(module.training == training for module in pruned.modules())
    assert [p.requires_grad for p in pruned.parameters()] == [p.requires_grad for p in network.parameters()]
    mine = {tensor.data_ptr() for tensor in network.state_dict().values()}
    assert not mine & {tensor.data_ptr() for tensor in pruned.state_dict().values()}


def widest_channel(network: nn.Module) -> int:
    """The most prunable parameters that go with one channel: its own filter and all that read it."""
    weights = list(prunable(network).values())
    return max(weight[0].numel() + reader[:, 0].numel() for weight, reader in pairwise(weights))


@pytest.mark.parametrize("ratio", RATIOS)
def test_as_many_are_left_as_asked(pruner: Pruner, kind: str, network: nn.Module, ratio: float) -> None:
    keep = pruners.keep_for(remaining(network), ratio)
    pruned = pruned_before(pruner, kind, keep)
    if pruner.structure == "weights":
        assert remaining(pruned) == keep
        assert [weight.shape for weight in prunable(pruned).values()] == [w.shape for w in prunable(network).values()]
    else:
        assert abs(remaining(pruned) - keep) <= widest_channel(network)
        assert remaining(pruned) == sum(weight.numel() for weight in prunable(pruned).values())


def test_all_and_one(pruner: Pruner, network: nn.Module) -> None:
    assert same(pruner(network, keep=remaining(network), context=context()), network)
    least = remaining(pruner(network, keep=1, context=context()))
    assert least == 1 if pruner.structure == "weights" else least < 60


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_pruned_network_runs(pruner: Pruner, kind: str, network: nn.Module, ratio: float) -> None:
    images = torch.rand(3, 2, 6, 6, generator=torch.Generator().manual_seed(2))
    pruned = deepcopy(pruned_before(pruner, kind, pruners.keep_for(remaining(network), ratio)))
    logits = pruned(images)
    assert logits.shape == (3, 3)
    assert logits.isfinite().all()
    logits.sum().backward()


def test_the_seed_is_all_that_is_random(pruner: Pruner, network: nn.Module) -> None:
    keep = remaining(network) // 5
    torch.rand(7)
    one = pruner(network, keep=keep, context=context(seed=4))
    torch.rand(3)
    other = pruner(network, keep=keep, context=context(seed=4))
    assert same(one, other)


def test_the_mode_of_the_network_does_not_matter(pruner: Pruner, kind: str, network: nn.Module) -> None:
    keep = remaining(network) // 5
    assert network.training
    assert same(pruner(network.eval(), keep=keep, context=context()), pruned_before(pruner, kind, keep))


def test_what_is_pruned_stays_pruned(pruner: Pruner, network: nn.Module) -> None:
    current, total = network, remaining(network)
    for ratio in (0.2, 0.5, 0.8):
        before = current
        current = pruner(before, keep=pruners.keep_for(total, ratio), context=context())
        assert remaining(current) < remaining(before)
        if pruner.structure == "weights":
            for old, new in zip(prunable(before).values(), prunable(current).values(), strict=True):
                assert not bool((new[old == 0] != 0).any())
                assert pruner.adjusts or torch.equal(new, old * (new != 0))


def test_survivors_are_nested_where_promised(pruner: Pruner, network: nn.Module) -> None:
    if not pruner.nested or pruner.structure != "weights":
        return
    few, many = (pruner(network, keep=keep, context=context()) for keep in (200, 500))
    for less, more in zip(prunable(few).values(), prunable(many).values(), strict=True):
        assert not bool((less != 0)[more == 0].any())


@pytest.mark.parametrize("name", PARTS)
def test_what_it_needs_is_refused_clearly_where_it_is_not_there(name: str) -> None:
    computed, network = part(name), NETWORKS["random"]()
    bare = Context(example=torch.zeros(1, 2, 6, 6))
    if {"data", "training"} & computed.needs:
        with pytest.raises(ValueError, match=r"expected (training examples|a way to train)"):
            computed()(network, keep=200, context=bare)
    else:
        assert remaining(computed()(network, keep=200, context=bare)) < remaining(network)


def test_only_prunable_tensors_are_touched(pruner: Pruner, network: nn.Module) -> None:
    if pruner.structure != "weights" or pruner.adjusts:
        return
    pruned = pruner(network, keep=50, context=context()).state_dict()
    rest = set(network.state_dict()) - set(prunable(network))
    assert all(torch.equal(pruned[name], network.state_dict()[name]) for name in rest)


@pytest.mark.parametrize("excess", [-(10**9), 0, 1])
def test_keep_out_of_range(pruner: Pruner, network: nn.Module, excess: int) -> None:
    left = remaining(network)
    keep = left + excess if excess > 0 else excess
    with pytest.raises(ValueError, match=f"expected 1 <= keep <= {left}, the prunable parameters left, got {keep}"):
        pruner(network, keep=keep, context=context())


def test_gradients_may_be_off(pruner: Pruner, kind: str, network: nn.Module) -> None:
    keep = remaining(network) // 5
    with torch.no_grad():
        result = pruner(network, keep=keep, context=context())
    assert same(result, pruned_before(pruner, kind, keep))


def test_half_precision_networks_are_pruned_too(pruner: Pruner) -> None:
    network = NETWORKS["ties"]().bfloat16()
    keep = remaining(network) // 5
    pruned = pruner(network, keep=keep, context=context())
    assert all(parameter.dtype == torch.bfloat16 for parameter in pruned.parameters())
    assert abs(remaining(pruned) - keep) <= (0 if pruner.structure == "weights" else widest_channel(network))


@pytest.mark.gpu
def test_pruning_happens_on_the_device_of_the_network(pruner: Pruner, network: nn.Module, device: torch.device) -> None:
    keep = remaining(network) // 5

    def there() -> Iterable[tuple[Tensor, Tensor]]:
        return ((images.to(device), labels.to(device)) for images, labels in batches())

    train = sgd(there, steps=12, learning_rate=1e-3)
    on_device = Context(example=context().example.to(device), batches=there, train=train)
    result, again = (pruner(deepcopy(network).to(device), keep=keep, context=on_device) for _ in range(2))
    assert all(parameter.device.type == device.type for parameter in result.parameters())
    assert same(result, again)
    # sums in another order may break ties of flows otherwise, but never change their number
    assert remaining(result) == remaining(pruner(network, keep=keep, context=context()))
