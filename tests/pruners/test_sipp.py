from collections.abc import Callable, Iterable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralnets.weights import prunable, remaining
from pruners import Context
from pruners.sipp import SiPP

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]
NAMES = ("chain", "projection", "padding", "vgg", "dense", "mobile", "grouped", "decoder", "transformer", "mixed")


def pictures() -> Iterable[tuple[Tensor, Tensor]]:
    images = torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    return zip(images.split(5), torch.zeros(12, dtype=torch.int64).split(5), strict=True)


LOOKING = Context(example=torch.zeros(1, 3, 8, 8), batches=pictures)


def seeing(*batches: Tensor) -> Context:
    return Context(
        example=torch.zeros(batches[0][:1].shape),
        batches=lambda: [(batch, torch.zeros(len(batch), dtype=torch.int64)) for batch in batches],
    )


def linear(*rows: list[float]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows))
    layer.weight = nn.Parameter(torch.tensor(rows))
    return layer


def test_by_hand() -> None:
    # weights 1, 3 | -2, -6 of one neuron; x = (1, 1, 1, 1): 1/4, 3/4 of what is positive, 2/8, 6/8 of the rest
    network = linear([1.0, 3.0, -2.0, -6.0])
    result = SiPP().score(network, seeing(torch.ones(1, 4)))["weight"]
    assert result.tolist() == [[0.25, 0.75, 0.25, 0.75]]
    # a second example (3, 1, 3, 1): 3/6, 3/6 | 6/12, 6/12; the maximum counts, in one batch or in two
    more = torch.tensor([[1.0, 1, 1, 1], [3, 1, 3, 1]])
    for context in (seeing(more), seeing(more[:1], more[1:])):
        assert SiPP().score(network, context)["weight"].tolist() == [[0.5, 0.75, 0.5, 0.75]]
    # of which only the first is looked at
    assert SiPP(count=1).score(network, seeing(more))["weight"].tolist() == [[0.25, 0.75, 0.25, 0.75]]


def test_inputs_below_zero_by_hand() -> None:
    # (2, -1, 0, -3): a+ = (2, 0, 0, 0): 1, 0 | 0, 0; a- = (0, 1, 0, 3): 0, 1 | 0, 1
    outcome = SiPP().score(linear([1.0, 3.0, -2.0, -6.0]), seeing(torch.tensor([[2.0, -1, 0, -3]])))["weight"]
    assert outcome.tolist() == [[1, 1, 0, 1]]


def test_the_scale_of_inputs_and_neurons_does_not_matter() -> None:
    small = linear([1e-9, 3e-9, -2e-9, -6e-9])
    actual = SiPP().score(small, seeing(torch.full((1, 4), 1e-9)))["weight"]
    assert torch.allclose(actual, torch.tensor([[0.25, 0.75, 0.25, 0.75]]))


def test_mean_over_places_by_hand() -> None:
    # a 1x1 convolution of 2 channels at 2 places, weights 1 and 1: shares (1/4, 3/4) and (1, 0) -> (5/8, 3/8)
    network = nn.Conv2d(2, 1, 1, bias=False)
    network.weight = nn.Parameter(torch.ones(1, 2, 1, 1))
    images = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]])
    assert SiPP().score(network, seeing(images))["weight"].flatten().tolist() == [5 / 8, 3 / 8]
    # a place where nothing comes in counts as 0 / 0 = 0
    images = torch.tensor([[[[1.0, 0.0]], [[3.0, 0.0]]]])
    assert SiPP().score(network, seeing(images))["weight"].flatten().tolist() == [1 / 8, 3 / 8]


def brute_force(weight: Tensor, images: Tensor, padding: int, groups: int) -> Tensor:
    """The definition for one convolution, patch by patch."""
    per_group = weight.shape[0] // groups
    rows = weight.flatten(1)
    computed = torch.zeros_like(rows)
    for image in images:
        for signed in (image.clamp_min(0), (-image).clamp_min(0)):
            patches = F.unfold(signed[None], weight.shape[2], padding=padding)[0].t()
            for i, row in enumerate(rows):
                group_patches = patches.unflatten(1, (groups, -1))[:, i // per_group]
                shares = torch.zeros_like(group_patches)
                for sign in (row > 0, row < 0):
                    terms = group_patches * row.abs() * sign
                    total = terms.sum(1, keepdim=True)
                    shares += torch.where(total > 0, terms / total.clamp_min(1e-30), 0.0)
                computed[i] = torch.maximum(computed[i], shares.mean(0))
    return computed.view(weight.shape)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolutions_by_brute_force(groups: int) -> None:
    generator = torch.Generator().manual_seed(3)
    network = nn.Conv2d(4, 4, 3, padding=1, groups=groups)
    with torch.no_grad():
        network.weight.copy_(torch.randn(network.weight.shape, generator=generator))
    images = torch.randn(3, 4, 5, 5, generator=generator)
    result = SiPP().score(network, seeing(images))["weight"]
    assert torch.allclose(result, brute_force(network.weight.detach(), images, 1, groups), atol=1e-6)


def test_a_transposed_convolution_sums_what_ends_at_one_place() -> None:
    # kernel 2, stride 1: the 3 outputs of 2 inputs sum 1, 2 and 1 products
    network = nn.ConvTranspose1d(1, 1, 2, bias=False)
    network.weight = nn.Parameter(torch.tensor([[[1.0, 3.0]]]))
    # outputs a1 w1; a2 w1 + a1 w2; a2 w2 with a = (1, 1): shares of w1: 1, 1/4, 0; of w2: 0, 3/4, 1; over 3 places
    result = SiPP().score(network, seeing(torch.ones(1, 1, 2)))["weight"].flatten()
    assert torch.allclose(result, torch.tensor([1.25, 1.75]) / 3)


class Attention(nn.Module):
    def __init__(self, *, batch_first: bool, named: bool, kdim: int | None = None) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(4, 2, batch_first=batch_first, kdim=kdim, vdim=kdim)
        self.batch_first, self.named, self.kdim = batch_first, named, kdim

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.batch_first else x.transpose(0, 1)
        other = x[..., : self.kdim]
        if self.named:
            result = self.inner(query=x, key=other, value=other, need_weights=False)[0]
        else:
            result = self.inner(x, other, other)[0]
        return result if self.batch_first else result.transpose(0, 1)


def attention(**fields: bool | int) -> nn.Module:
    network = Attention(**fields)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network.eval()


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_attention_is_four_linear_layers(batch_first: bool, named: bool) -> None:
    network = attention(batch_first=batch_first, named=named)
    inner = network.inner
    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(7))
    # written out: three projections, softmax, and what stands before the last one
    q, k, v = F.linear(x, inner.in_proj_weight, inner.in_proj_bias).chunk(3, dim=-1)
    heads = [each.unflatten(-1, (2, 2)).transpose(1, 2) for each in (q, k, v)]
    mixed = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2).detach()
    result = SiPP().score(network, seeing(x))
    first, last = nn.Linear(4, 12), nn.Linear(4, 4)
    first.weight, last.weight = inner.in_proj_weight, inner.out_proj.weight
    assert torch.allclose(result["inner.in_proj_weight"], SiPP().score(first, seeing(x))["weight"], atol=1e-6)
    assert torch.allclose(result["inner.out_proj.weight"], SiPP().score(last, seeing(mixed))["weight"], atol=1e-5)


def test_attention_with_separate_projections() -> None:
    network = attention(batch_first=True, named=True, kdim=3)
    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(7))
    result = SiPP().score(network, seeing(x))
    key = nn.Linear(3, 4)
    key.weight = network.inner.k_proj_weight
    assert torch.allclose(result["inner.k_proj_weight"], SiPP().score(key, seeing(x[..., :3]))["weight"], atol=1e-6)
    assert all(bool((each > 0).any()) for each in result.values())


def test_layers_inside_torchs_own_encoder_are_seen() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, dim_feedforward=6, batch_first=True)
    result = SiPP().score(layer, seeing(torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))))
    assert all(bool((each > 0).any()) for each in result.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_network(build: Build, name: str) -> None:
    network = build(name)
    assert remaining(SiPP()(network, keep=50, context=LOOKING)) == 50
    scores = SiPP().score(network, LOOKING)
    assert all(float(each.min()) >= 0 and float(each.max()) <= 1 + 1e-5 for each in scores.values())
    assert all(bool((each > 0).any()) for each in scores.values())


def test_one_forward_pass_a_batch(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    network, observed = build("chain"), []
    forward = nn.Sequential.forward

    def counting(self: nn.Sequential, images: Tensor) -> Tensor:
        observed.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(nn.Sequential, "forward", counting)
    SiPP(count=11)(network, keep=50, context=LOOKING)
    assert observed == [5, 5, 1]


def test_parts_of_a_batch_give_the_same(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build("grouped")
    whole = SiPP().score(network, LOOKING)
    monkeypatch.setattr("pruners.sipp._MOST", 1)
    alone = SiPP().score(network, LOOKING)
    assert all(torch.allclose(whole[name], alone[name], rtol=1e-5) for name in whole)


def test_a_shared_layer_counts_where_it_matters_most() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = linear([1.0, 1.0], [1.0, 3.0])

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.layer(x))

    network = Twice()
    nn.init.zeros_(network.layer.bias)
    # x = (1, 1): shares (1/2, 1/2), (1/4, 3/4); then (2, 4): (1/3, 2/3), (1/7, 6/7)
    result = SiPP().score(network, seeing(torch.ones(1, 2)))["layer.weight"]
    assert torch.allclose(result, torch.tensor([[1 / 2, 2 / 3], [1 / 4, 6 / 7]]))


def test_dead_layers_do_not_matter(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network[1].weight.zero_()
    left = remaining(network)
    pruned = SiPP()(network, keep=left // 2, context=LOOKING)
    assert remaining(pruned) == left // 2
    assert sum(int(weight.count_nonzero()) for weight in prunable(pruned).values()) == left // 2


def test_count_has_a_range() -> None:
    with pytest.raises(ValueError, match="expected count >= 1, got 0"):
        SiPP(count=0)
