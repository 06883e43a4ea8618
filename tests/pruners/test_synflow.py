from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralnets.weights import prunable, remaining
from pruners import Context
from pruners._flow import positive, synaptic_flow
from pruners.magnitude import Magnitude
from pruners.synflow import SynFlow

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]
PAIR = Context(example=torch.zeros(1, 2))
PIXELS = Context(example=torch.zeros(1, 3, 8, 8))


def flows(network: nn.Module, shape: tuple[int, ...] = (1, 3, 8, 8)) -> dict[str, Tensor]:
    model = positive(network)
    return synaptic_flow(model, torch.ones(shape, dtype=torch.float64), prunable(model))


def pair() -> nn.Sequential:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 0.5]]))
        network[2].weight.copy_(torch.tensor([[4.0, -1.0]]))
    return network


def test_scores_by_hand() -> None:
    # |W1| 1 = (3, 3.5), R = 4 * 3 + 1 * 3.5 = 15.5; each weight times what leads to it and away from it
    result = flows(pair(), (1, 2))
    assert result["0.weight"].tolist() == [[4 * 1, 4 * 2], [1 * 3, 1 * 0.5]]
    assert result["2.weight"].tolist() == [[4 * 3, 1 * 3.5]]
    assert all(float(flow.sum()) == 15.5 for flow in result.values())


def survivors(network: nn.Module) -> list[list[list[int]]]:
    return [(weight != 0).int().tolist() for weight in prunable(network).values()]


def test_one_step_by_hand() -> None:
    # 12, 8, 4, 3.5 | 3, 0.5
    pruned = SynFlow(iterations=1)(pair(), keep=4, context=PAIR)
    assert survivors(pruned) == [[[1, 1], [0, 0]], [[1, 1]]]


def test_two_steps_by_hand() -> None:
    # to round(6 sqrt(4 / 6)) = 5: only 0.5 goes, and the flow of W2's second weight falls from 3.5 to 3;
    # then 12, 8, 4 and a tie of 3 and 3, of which the first in the network stays
    pruned = SynFlow(iterations=2)(pair(), keep=4, context=PAIR)
    assert survivors(pruned) == [[[1, 1], [1, 0]], [[1, 0]]]


def test_the_schedule_is_exponential(monkeypatch: pytest.MonkeyPatch) -> None:
    observed: list[int] = []

    def watched(network: nn.Module, inputs: Tensor, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        observed.append(remaining(network))
        return synaptic_flow(network, inputs, weights)

    monkeypatch.setattr("pruners.synflow.synaptic_flow", watched)
    network = nn.Sequential(nn.Linear(100, 10, bias=False), nn.ReLU(), nn.Linear(10, 100, bias=False))
    SynFlow(iterations=4)(network, keep=2000 // 16, context=Context(example=torch.zeros(1, 100)))
    assert observed == [2000, 1000, 500, 250]


def sums(network: nn.Module) -> list[float]:
    return [float(flow.sum()) for flow in flows(network).values()]


@pytest.mark.parametrize("name", ["chain", "vgg"])
def test_flow_is_conserved_layer_by_layer(build: Build, name: str) -> None:
    # trained statistics, biases, max-pooling, a learnt slope and the input's normalisation included
    outcome = sums(build(name))
    assert outcome == pytest.approx([outcome[0]] * len(outcome), rel=1e-12)
    assert outcome[0] > 0


class Activated(nn.Module):
    """A chain with an activation of one's choice, as a module or as a function."""

    def __init__(self, activation: Callable[[Tensor], Tensor], norm: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = norm
        self.second = nn.Conv2d(4, 6, 3, padding=1)
        self.head = nn.Linear(6, 2)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.norm(self.first(x)))
        return self.head(self.activation(self.second(x)).mean((2, 3)))


@pytest.mark.parametrize(
    "activation",
    [
        nn.GELU(),
        F.gelu,
        nn.SiLU(),
        nn.SiLU(inplace=True),
        nn.Hardswish(),
        nn.Mish(),
        nn.ELU(),
        nn.Softplus(),
        nn.Tanh(),
        torch.tanh,
        nn.ReLU6(),
        nn.Hardtanh(),
        nn.LeakyReLU(0.2),
        nn.PReLU(),
        nn.Sigmoid(),
        torch.sigmoid,
        Tensor.sigmoid,
        nn.Hardsigmoid(),
        lambda x: x.clamp(0, 6),
    ],
)
def test_flow_is_conserved_whatever_the_activation(activation: Callable[[Tensor], Tensor]) -> None:
    actual = sums(Activated(activation, nn.BatchNorm2d(4)))
    assert actual == pytest.approx([actual[0]] * 3, rel=1e-12)
    assert actual[0] > 0


@pytest.mark.parametrize(
    "norm",
    [
        nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4, affine=True),
        nn.InstanceNorm2d(4),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.BatchNorm2d(4, affine=False),
        nn.LayerNorm([4, 8, 8]),
        nn.LocalResponseNorm(2),
    ],
)
def test_flow_is_conserved_whatever_the_normalisation(norm: nn.Module) -> None:
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    computed = sums(Activated(F.relu, norm))
    assert computed == pytest.approx([computed[0]] * 3, rel=1e-12)


def test_batch_normalisation_is_a_factor() -> None:
    # one weight w = 2, gamma = -3, var = 15.99999, eps = 1e-5, head 5: R = 2 * 3 / 4 * 5
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1))
    with torch.no_grad():
        network[0].weight.fill_(2)
        network[1].weight.fill_(-3)
        network[1].bias.fill_(7)
        network[1].running_mean.fill_(11)
        network[1].running_var.fill_(16 - 1e-5)
        network[2].weight.fill_(-5)
    result = flows(network, (1, 1, 1, 1))
    # the variance is stored in float32
    assert [float(flow) for flow in result.values()] == pytest.approx([7.5, 7.5], rel=1e-6)


def test_gates_double_what_they_read() -> None:
    """In x * sigmoid(Ux) both factors carry the whole flow of the product."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.gate = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            self.head = nn.Linear(3, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            return self.head(x * torch.sigmoid(self.gate(x)))

    result = {name: float(flow.sum()) for name, flow in flows(Gated(), (1, 3)).items()}
    assert result["gate.weight"] == pytest.approx(result["head.weight"])
    assert result["stem.weight"] == pytest.approx(2 * result["head.weight"])


class Attention(nn.Module):
    """The same attention through torch's module, its function, or softmax."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        self.inner = nn.MultiheadAttention(6, 2, batch_first=True)
        self.kind = kind
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        # tokens that differ, from an input of ones
        x = x * torch.arange(1, 1 + x.shape[1], dtype=x.dtype).view(1, -1, 1)
        inner = self.inner
        if self.kind == "module":
            return inner(x, x, x, need_weights=False)[0]
        q, k, v = (F.linear(x, w).unflatten(-1, (2, 3)).transpose(1, 2) for w in inner.in_proj_weight.chunk(3))
        if self.kind == "function":
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = ((q @ k.transpose(-2, -1)) / 3**0.5).softmax(dim=-1) @ v
        return F.linear(mixed.transpose(1, 2).flatten(2), inner.out_proj.weight)


def test_attention_is_the_same_however_it_is_written() -> None:
    result = [flows(Attention(kind), (1, 4, 6)) for kind in ("module", "function", "softmax")]
    for other in result[1:]:
        assert all(torch.allclose(result[0][name], other[name], rtol=1e-12) for name in result[0])
    query, key, value = (float(part.sum()) for part in result[0]["inner.in_proj_weight"].chunk(3))
    # values carry the flow into out_proj; queries and keys, the factors of the weights, each carry it once more
    total = float(result[0]["inner.out_proj.weight"].sum())
    assert [query, key, value] == pytest.approx([total] * 3, rel=1e-12)


def test_attention_with_separate_projections() -> None:
    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.MultiheadAttention(4, 2, kdim=3, vdim=2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x, x[..., :3], x[..., :2])[0]

    result = flows(Cross(), (1, 5, 4))
    assert list(result) == [f"inner.{name}" for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight")] + [
        "inner.out_proj.weight"
    ]
    total = [float(flow.sum()) for flow in result.values()]
    assert total == pytest.approx([total[0]] * 4, rel=1e-12)


@pytest.mark.parametrize("name", ["transformer", "mobile", "dense", "grouped", "padding", "decoder"])
def test_any_network_has_a_flow(build: Build, name: str) -> None:
    network = build(name)
    keep = remaining(network) // 5
    assert remaining(SynFlow(iterations=10)(network, keep=keep, context=PIXELS)) == keep
    assert all(flow.sum() > 0 for flow in flows(network).values())


def wide_and_narrow() -> nn.Sequential:
    """A wide layer of small weights in front of a narrow one: magnitude empties the wide one, saliency too."""
    layers = [nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 3)]
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for layer in layers[::2]:
            weight = layer.get_parameter("weight")
            weight.copy_(torch.randn(weight.shape, generator=generator) / weight.shape[1])
    return nn.Sequential(*layers)


def test_no_layer_is_emptied_near_the_largest_possible_ratio() -> None:
    network = wide_and_narrow()
    context = Context(example=torch.zeros(1, 8))
    for keep in (4, 6, 12):
        pruned = prunable(SynFlow()(network, keep=keep, context=context))
        assert min(int(weight.count_nonzero()) for weight in pruned.values()) >= 1
        # and what is left is connected: it carries flow
        assert all(flow.sum() > 0 for flow in flows(SynFlow()(network, keep=keep, context=context), (1, 8)).values())
    for keep, baseline in ((12, Magnitude()), (12, SynFlow(iterations=1))):
        emptied = prunable(baseline(network, keep=keep, context=context))
        assert min(int(weight.count_nonzero()) for weight in emptied.values()) == 0


def test_scores_beyond_float32() -> None:
    # 60 layers of gain 100 and a sum of two: R = 2 * 10^120, infinite in float32
    layers: list[nn.Module] = []
    for _ in range(60):
        layer = nn.Linear(2, 2, bias=False)
        layer.weight = nn.Parameter(torch.tensor([[60.0, 40.0], [40.0, 60.0]]))
        layers.append(layer)
    network = nn.Sequential(*layers)
    result = flows(network, (1, 2))
    assert all(float(flow.sum()) == pytest.approx(2 * 1e120, rel=1e-9) for flow in result.values())
    # in one step: with more, rounding would choose between the equal scores of the layers
    pruned = SynFlow(iterations=1)(network, keep=120, context=PAIR)
    assert all(int(weight.count_nonzero()) == 2 for weight in prunable(pruned).values())


def test_too_deep_is_said() -> None:
    layers = [nn.Linear(2, 2, bias=False) for _ in range(400)]
    for layer in layers:
        layer.weight = nn.Parameter(torch.full((2, 2), 50.0))
    with pytest.raises(ValueError, match="expected a finite synaptic flow, got inf"):
        SynFlow()(nn.Sequential(*layers), keep=100, context=PAIR)


def test_a_network_that_subtracts_is_refused() -> None:
    class Difference(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plus, self.minus = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.plus(x) - self.minus(x)

    with pytest.raises(ValueError, match=r"expected flows >= 0, got -.* in minus\.weight"):
        SynFlow()(Difference(), keep=3, context=PAIR)


def test_one_output_is_needed() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.layer(x), x

    with pytest.raises(TypeError, match="expected a network that returns one tensor, got tuple"):
        SynFlow()(Two(), keep=2, context=PAIR)


@pytest.mark.parametrize("iterations", [0, -3])
def test_steps_are_needed(iterations: int) -> None:
    with pytest.raises(ValueError, match=f"expected iterations >= 1, got {iterations}"):
        SynFlow(iterations=iterations)


def test_no_gradient_is_left_behind_and_none_needed(build: Build) -> None:
    network = build("chain").requires_grad_(requires_grad=False)
    with torch.no_grad():
        pruned = SynFlow(iterations=2)(network, keep=30, context=PIXELS)
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in pruned.parameters())
    with torch.inference_mode():
        same = SynFlow(iterations=2)(network, keep=30, context=PIXELS)
    assert all(torch.equal(a, b) for a, b in zip(pruned.parameters(), same.parameters(), strict=True))
