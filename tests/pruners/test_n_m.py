from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.ao.pruning import WeightNormSparsifier

from neuralnets.weights import prunable, remaining
from pruners import Context
from pruners.n_m import NM

Build = Callable[[str], nn.Module]
PIXELS = Context(example=torch.zeros(1, 3, 8, 8))
NAMES = ("chain", "projection", "vgg", "dense", "mobile", "grouped", "decoder", "transformer", "mixed")


def linear(*rows: list[float]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight = nn.Parameter(torch.tensor(rows))
    return layer


def vectors(width: int) -> Context:
    return Context(example=torch.zeros(1, width))


def drawn(shape: tuple[int, ...], seed: int = 0) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(seed)))


def most(weight: Tensor, m: int = 4) -> int:
    """Of a linear weight or a convolution's: most survivors in any group along the inputs."""
    rows = weight.movedim(1, -1)
    return int((rows.unflatten(-1, (-1, m)) != 0).sum(-1).max())


ROWS = ([1.0, -4, 2, 3, 8, 7, -6, 5], [1.0, 1, 1, 1, -9, 9, 9, 9.5])
"""Groups lose to 2:4: 1 + 4 = 5, 36 + 25 = 61, 1 + 1 = 2 and 81 + 81 = 162 of their sums of squares."""


def kept(keep: int, **fields: int) -> list[list[int]]:
    pruned = NM(**fields)(linear(*ROWS), keep=keep, context=vectors(8))
    return (pruned.weight != 0).int().tolist()


def test_two_of_four_by_hand() -> None:
    # of ties the first survives: 1 1 . . and -9 . . 9.5
    assert kept(8) == [[0, 1, 0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0, 0, 1]]


def test_other_patterns_by_hand() -> None:
    assert kept(4, n=1) == [[0, 1, 0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 1]]
    assert kept(12, n=3) == [[0, 1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 1, 1, 0, 1]]
    assert kept(2, n=1, m=8) == [[0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]]


def test_more_than_the_pattern_leaves_by_hand() -> None:
    # groups take the pattern in the order of what they lose: third (2), first (5), second (61), fourth (162)
    assert kept(16) == [[1] * 8, [1] * 8]
    assert kept(15) == [[1] * 8, [1, 1, 1, 0, 1, 1, 1, 1]]
    assert kept(14) == [[1] * 8, [1, 1, 0, 0, 1, 1, 1, 1]]
    # the smaller of 1 and 2 first
    assert kept(13) == [[0, 1, 1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1, 1, 1]]
    assert kept(12) == [[0, 1, 0, 1, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1, 1, 1]]
    assert kept(10) == [[0, 1, 0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 1, 1, 1]]
    assert kept(9) == [[0, 1, 0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 1, 0, 1]]


def test_less_than_the_pattern_leaves_by_hand() -> None:
    # of the eight survivors 4 3 8 7 1 1 9 9.5 the smallest go
    assert kept(6) == [[0, 1, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 0, 0, 1]]
    assert kept(3) == [[0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0, 1]]


def test_layers_take_the_pattern_one_after_the_other() -> None:
    # the second layer loses the smaller share: 2 of 4 equal weights are half a sum of squares, 0.1 and 0.2 next to none
    network = nn.Sequential(linear([5.0, 5, 5, 5], [5.0, 5, 5, 5]), linear([0.1, 0.2, 3, 3], [3.0, 0.1, 0.2, 3]))
    pruned = NM()(network, keep=12, context=vectors(4))
    assert [most(weight) for weight in prunable(pruned).values()] == [4, 2]
    pruned = NM()(network, keep=11, context=vectors(4))
    assert [remaining(layer) for layer in pruned] == [7, 4]
    assert [most(weight) for weight in prunable(NM()(network, keep=8, context=vectors(4))).values()] == [2, 2]


def test_layers_that_cannot_take_the_pattern_stay_dense_while_they_may() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    network[0].weight, network[2].weight = drawn((8, 3, 3, 3)), drawn((4, 8, 3, 3), 1)
    pattern = 216 + 144
    pruned = NM()(network, keep=pattern, context=PIXELS)
    assert [int(weight.count_nonzero()) for weight in prunable(pruned).values()] == [216, 144]
    # below, both lose the same fraction
    pruned = NM()(network, keep=pattern // 2, context=PIXELS)
    assert [int(weight.count_nonzero()) for weight in prunable(pruned).values()] == [108, 72]
    assert most(pruned[2].weight) <= 2


def test_the_same_as_torchs_own_sparsifier() -> None:
    # its blocks of 1 x 4 lie along the inputs of a linear layer
    network = nn.Sequential(nn.Linear(16, 12, bias=False))
    network[0].weight = drawn((12, 16))
    pruned = NM()(network, keep=96, context=vectors(16))
    sparsifier = WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2)
    sparsifier.prepare(network, [{"tensor_fqn": "0.weight"}])
    sparsifier.step()
    expected = network[0].parametrizations.weight[0].mask.bool()
    assert torch.equal(pruned[0].weight != 0, expected)


def test_groups_of_a_convolution_are_input_channels_at_one_place() -> None:
    layer = nn.Conv2d(8, 3, 3, bias=False)
    layer.weight = drawn((3, 8, 3, 3))
    pruned = NM()(layer, keep=108, context=Context(example=torch.zeros(1, 8, 4, 4)))
    alive = (pruned.weight != 0).movedim(1, -1).reshape(3, 3, 3, 2, 4).sum(-1)
    assert torch.equal(alive, torch.full_like(alive, 2))


def test_groups_of_a_transposed_convolution_are_too() -> None:
    layer = nn.ConvTranspose2d(8, 3, 3, bias=False)
    layer.weight = drawn((8, 3, 3, 3))
    pruned = NM()(layer, keep=108, context=Context(example=torch.zeros(1, 8, 4, 4)))
    alive = (pruned.weight != 0).movedim(0, -1).reshape(3, 3, 3, 2, 4).sum(-1)
    assert torch.equal(alive, torch.full_like(alive, 2))


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_groups_do_not_cross_those_of_a_grouped_convolution(kind: type[nn.Conv2d]) -> None:
    # 12 inputs in 2 groups: sums of 6, which 4 does not divide; 8 in 2: sums of 4
    cannot, can = kind(12, 4, 1, groups=2, bias=False), kind(8, 4, 1, groups=2, bias=False)
    cannot.weight, can.weight = drawn(tuple(cannot.weight.shape)), drawn(tuple(can.weight.shape))
    network = nn.ModuleDict({"cannot": cannot, "can": can})
    pruned = NM()(network, keep=24 + 8, context=PIXELS)
    assert [int(weight.count_nonzero()) for weight in prunable(pruned).values()] == [24, 8]
    # depthwise: one input a sum
    depthwise = kind(8, 8, 3, groups=8, bias=False)
    depthwise.weight = drawn((8, 1, 3, 3))
    pruned = NM()(nn.ModuleDict({"depthwise": depthwise, "can": can}), keep=72 + 8, context=PIXELS)
    assert [int(weight.count_nonzero()) for weight in prunable(pruned).values()] == [72, 8]


def test_pruned_weights_count_as_the_pattern_does() -> None:
    # a group that has two zeros already loses nothing more
    network = linear([0.0, 0, 1, 2, 5, 6, 7, 8])
    pruned = NM()(network, keep=4, context=vectors(8))
    assert pruned.weight.tolist() == [[0, 0, 1, 2, 0, 0, 7, 8]]
    assert NM()(network, keep=5, context=vectors(8)).weight.tolist() == [[0, 0, 1, 2, 0, 6, 7, 8]]


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_network(build: Build, name: str) -> None:
    network = build(name)
    total = remaining(network)
    for keep in (1, total // 3, total // 2, 3 * total // 4, total - 1):
        assert remaining(NM()(network, keep=keep, context=PIXELS)) == keep


def test_survivors_are_nested(build: Build) -> None:
    network = build("transformer")
    total = remaining(network)
    before = None
    for keep in range(total, 0, -total // 23):
        masks = [weight != 0 for weight in prunable(NM()(network, keep=keep, context=PIXELS)).values()]
        assert before is None or not any(bool((now & ~then).any()) for now, then in zip(masks, before, strict=True))
        before = masks


@pytest.mark.parametrize(("n", "m"), [(0, 4), (4, 4), (5, 4), (-1, 2)])
def test_a_pattern_has_a_range(n: int, m: int) -> None:
    with pytest.raises(ValueError, match=f"expected 1 <= n < m, got n = {n}, m = {m}"):
        NM(n=n, m=m)
