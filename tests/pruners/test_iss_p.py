from collections.abc import Callable, Iterable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralnets.weights import prunable, remaining
from pruners import Context, sgd
from pruners.iss_p import ISSP, Shrinkage

Build = Callable[[str], nn.Module]


def batches() -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        yield torch.rand(6, 3, 8, 8, generator=generator), torch.randint(4, (6,), generator=generator)


def context(steps: int = 9) -> Context:
    return Context(
        example=torch.zeros(1, 3, 8, 8), batches=batches, train=sgd(batches, steps=steps, learning_rate=0.02)
    )


def layer(*values: float) -> nn.Module:
    network = nn.Linear(len(values), 1, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([values]))
    return network


def test_one_step_by_hand() -> None:
    # two of five are kept; the last is pruned from the start and is never chosen
    network = layer(4.0, -1.0, 2.0, -8.0, 0.0)
    hook = Shrinkage({"weight": network.weight != 0}, {"weight": 2}, alpha=0.5, until=0.5)
    hook.after_step(network, 0.0)
    assert network.weight.tolist() == [[4, -0.5, 1, -8, 0]]
    with torch.no_grad():
        network.weight[0, 2] = 5.0  # training brings it back: now the first is too small
    hook.after_step(network, 0.25)
    assert network.weight.tolist() == [[2, -0.25, 5, -8, 0]]
    hook.after_step(network, 0.5)
    assert network.weight.tolist() == [[0, 0, 5, -8, 0]]
    with torch.no_grad():
        network.weight[0, 0] = 9.0  # frozen: too late
    hook.after_step(network, 0.75)
    assert network.weight.tolist() == [[0, 0, 5, -8, 0]]


def test_without_alpha_it_is_iterative_hard_thresholding(build: Build) -> None:
    network = build("chain")
    result = ISSP(alpha=0.0, shrink=1.0)(network, keep=remaining(network) // 4, context=context())
    # the loop written out: a step of SGD with momentum, then all but the largest of each layer are zero
    expected = build("chain").train()
    counts = {name: int(weight.count_nonzero()) for name, weight in prunable(result).items()}
    optimizer = torch.optim.SGD(expected.parameters(), 0.02, 0.9, weight_decay=1e-4)
    for images, labels in [batch for _ in range(3) for batch in batches()]:
        optimizer.zero_grad()
        F.cross_entropy(expected(images), labels).backward()
        optimizer.step()
        with torch.no_grad():
            for name, weight in prunable(expected).items():
                top = weight.abs().flatten().topk(counts[name]).indices
                weight.copy_(
                    torch.zeros_like(weight).flatten().index_copy(0, top, weight.flatten()[top]).view_as(weight)
                )
    for one, other in zip(result.state_dict().values(), expected.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_every_layer_keeps_the_same_ratio(build: Build) -> None:
    for name in ("projection", "grouped", "dense", "transformer"):
        network = build(name)
        outcome = ISSP()(network, keep=round(0.3 * remaining(network)), context=context(3))
        assert remaining(outcome) == round(0.3 * remaining(network))
        for weight in prunable(outcome).values():
            assert abs(int(weight.count_nonzero()) - 0.3 * weight.numel()) <= 1


def test_softer_shrinking_lets_more_weights_come_back(build: Build) -> None:
    network = build("chain")
    keep = remaining(network) // 10

    def changed(alpha: float) -> int:
        actual = ISSP(alpha=alpha)(network, keep=keep, context=context(60))
        first = ISSP(alpha=alpha)(network, keep=keep, context=context(1))
        pairs = zip(prunable(actual).values(), prunable(first).values(), strict=True)
        return sum(int(((one != 0) & (other == 0)).sum()) for one, other in pairs)

    assert changed(0.99) > changed(0.0)


def test_weights_that_stay_are_trained(build: Build) -> None:
    network = build("chain")
    computed = ISSP()(network, keep=200, context=context())
    assert not any(
        torch.equal(new[new != 0], old[new != 0])
        for new, old in zip(prunable(computed).values(), prunable(network).values(), strict=True)
    )


@pytest.mark.parametrize(
    ("field", "value"), [("alpha", 1.0), ("alpha", -0.1), ("alpha", float("nan")), ("shrink", 1.1), ("shrink", -0.1)]
)
def test_hyperparameters_out_of_range(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"expected 0 <= {field} .* 1, got {value}"):
        ISSP(**{field: value})
