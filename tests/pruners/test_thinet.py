from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from neuralnets.weights import remaining
from pruners import Context, coupled_channels
from pruners._channels import mask_channels, remove_channels
from pruners.thinet import ThiNet

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]
Array = NDArray[np.float64]
CLASSIFIERS = ["chain", "projection", "padding", "vgg", "dense", "mobile", "grouped", "transformer", "mixed"]


def batches(sizes: Sequence[int] = (5, 3)) -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for size in sizes:
        yield torch.rand(size, 3, 8, 8, generator=generator), torch.randint(4, (size,), generator=generator)


CONTEXT = Context(example=torch.zeros(1, 3, 8, 8), batches=batches)


def single_output(width: int, contributions: Tensor) -> tuple[nn.Module, Context]:
    """A hidden layer whose contributions to the only output are given, (examples, width)."""
    network = nn.Sequential(nn.Linear(width, width, bias=False), nn.Identity(), nn.Linear(width, 1))
    with torch.no_grad():
        network[0].weight.copy_(1 + torch.eye(width))  # no zeros, which would count as pruned
        network[2].weight.fill_(1)
        network[2].bias.fill_(7)
    images = contributions @ (torch.eye(width) - 1 / (width + 1))
    data = [(images, torch.zeros(len(contributions), dtype=torch.int64))]
    return network, Context(example=torch.zeros(1, width), batches=lambda: data)


def greedy(contributions: Array) -> list[int]:
    """Algorithm 1 of the paper, word by word: the order in which channels are removed."""
    removed: list[int] = []
    while len(removed) < contributions.shape[1]:
        rest = [c for c in range(contributions.shape[1]) if c not in removed]
        removed.append(min(rest, key=lambda c: (contributions[:, [*removed, c]].sum(1) ** 2).sum()))
    return removed


def order(scores: Tensor) -> list[int]:
    return scores.argsort().tolist()


def test_one_by_hand() -> None:
    # contributions of three channels to two outputs: (3, 1), (-3, -1), (1, 2): alone 10, 10 and 5: the third goes
    # first; with it (4, 3) and (-2, 1): the second; then the first. Smallest norms alone would leave the second
    network, context = single_output(3, torch.tensor([[3.0, -3, 1], [1, -1, 2]]))
    groups = coupled_channels(network, context.example)
    (score,) = ThiNet().score(network, groups, context)
    assert score.tolist() == [2, 1, 0]
    # 9 + 3 = 12 weights. Without the third the others, (3, 1) times 1 + d and (-3, -1) times 1 + e, have to make up
    # for (1, 2): d - e = (3 * 1 + 1 * 2) / 10, nearest to 1 where d = -e
    pruned = ThiNet()(network, keep=8, context=context)
    assert pruned.get_parameter("2.weight").tolist() == [pytest.approx([1.25, 0.75])]
    assert pruned.get_parameter("2.bias").tolist() == [7]
    assert pruned.get_parameter("0.weight").tolist() == [[2, 1, 1], [1, 2, 1]]
    # and with the first alone (3, 1) w = (1, 2): w = (3 + 2) / 10
    pruned = ThiNet()(network, keep=1, context=context)
    assert pruned.get_parameter("2.weight").tolist() == [pytest.approx([0.5])]


@pytest.mark.parametrize("seed", range(5))
def test_same_order_and_weights_as_the_papers_algorithm(seed: int) -> None:
    contributions = torch.randn(40, 9, generator=torch.Generator().manual_seed(seed)) + 0.3
    network, context = single_output(9, contributions)
    x = contributions.double().numpy()
    groups = coupled_channels(network, context.example)
    (score,) = ThiNet().score(network, groups, context)
    assert order(score) == greedy(x)
    for left in (7, 3):
        pruned = ThiNet()(network, keep=10 * left, context=context)
        stays = sorted(greedy(x)[-left:])
        expected = np.linalg.lstsq(x[:, stays], x.sum(1), rcond=None)[0]
        torch.testing.assert_close(
            pruned.get_parameter("2.weight")[0].detach().double(), torch.from_numpy(expected), rtol=1e-4, atol=1e-5
        )


class Strided(nn.Module):
    """A convolution that reads five channels with stride, dilation and padding, and puts out a few values."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 2 * groups, 3, stride=4, padding=1, dilation=2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.first(x))).flatten(1)


@pytest.mark.parametrize("groups", [1, 2])
def test_contributions_to_outputs_of_a_convolution(groups: int) -> None:
    torch_generator = torch.Generator().manual_seed(4)
    network = Strided(groups).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch_generator))
    # the same picture again and again: every output is drawn about as often as any other
    images = torch.rand(1, 3, 8, 8, generator=torch_generator).expand(400, -1, -1, -1)
    context = Context(example=CONTEXT.example, batches=lambda: [(images, torch.zeros(400, dtype=torch.int64))])
    (group,) = coupled_channels(network, context.example)
    (score,) = ThiNet(images=400).score(network, [group], context)
    # what each channel adds to each output: the layer without bias, and with all other channels at zero
    hidden = F.relu(network.first(images[:1])).detach()
    columns = []
    for channel in range(group.size):
        alone = torch.zeros_like(hidden)
        alone[:, channel :: group.size] = hidden[:, channel :: group.size]
        columns.append((network.last(alone) - network.last(torch.zeros_like(hidden))).flatten())
    x = torch.stack(columns, dim=1).detach().double().numpy()
    assert order(score) == greedy(x)


def copies(
    build: Build, name: str, producers: Sequence[str], reader: str, size: int, source: int, target: int
) -> nn.Module:
    """A network in which channel `target` of a group carries half of what `source` carries."""
    network = build(name)
    with torch.no_grad():
        for producer in producers:
            for parameter in network.get_submodule(producer).parameters():
                for start in range(0, len(parameter), size):
                    parameter[start + target] = parameter[start + source]
            for buffer in network.get_submodule(producer).buffers():
                if buffer.dim():
                    for start in range(0, len(buffer), size):
                        buffer[start + target] = buffer[start + source]
        weight = network.get_parameter(f"{reader}.weight")
        step = weight.shape[1] // size if isinstance(network.get_submodule(reader), nn.Linear) else 1
        weight[:, target * step : (target + 1) * step] = weight[:, source * step : (source + 1) * step] / 2
    return network


@pytest.mark.parametrize(
    ("name", "producers", "reader", "size"),
    [
        ("chain", ["1", "2"], "4", 8),
        ("vgg", ["5", "6"], "8", 5),
        ("grouped", ["0", "1"], "3", 4),
        ("transformer", ["layers.0.fc1"], "layers.0.fc2", 10),
        ("projection", ["5.conv1", "5.bn1"], "5.conv2", 10),
    ],
)
def test_a_copy_can_go_without_loss(
    build: Build, images: Tensor, name: str, producers: list[str], reader: str, size: int
) -> None:
    network = copies(build, name, producers, reader, size, 2, 1)
    group = next(g for g in coupled_channels(network, CONTEXT.example) if str(g).startswith(producers[0]))
    keep = {group: torch.arange(size) != 1}
    # many more samples than channels, so that the factors are certain
    many = Context(example=CONTEXT.example, batches=lambda: batches((60,)))
    fitted = ThiNet().refit(network, keep, many)
    before = network(images)
    error, plain = (float((remove_channels(each, keep)(images) - before).detach().norm()) for each in (fitted, network))
    assert error < plain / 1000


# of the residual networks all but two channels are next to silent, so that chance decides what could be made up for
@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if name not in {"projection", "padding"}])
def test_what_is_lost_is_made_up_for(build: Build, name: str) -> None:
    network = build(name)
    groups = coupled_channels(network, CONTEXT.example)
    many = Context(example=CONTEXT.example, batches=lambda: batches((60,)))
    # channels with one reader: elsewhere the layers in between change as well
    for group in [each for each in groups if sum(side.direction == "in" for side in each.sides) == 1][:2]:
        # without the best, so that there is something to make up for
        (score,) = ThiNet().score(network, [group], many)
        keep = {group: score < group.size * 2 // 3}
        reader = next(side.layer for side in group.sides if side.direction == "in")
        errors = []
        for each in (ThiNet().refit(network, keep, many), network):
            observed = [
                outputs_of(model, reader, next(iter(many.batches()))[0])
                for model in (mask_channels(each, keep), network)
            ]
            errors.append(float((observed[0] - observed[1]).square().mean()))
        assert errors[0] < errors[1]


def outputs_of(network: nn.Module, name: str, images: Tensor) -> Tensor:
    recorded: list[Tensor] = []
    handle = network.get_submodule(name).register_forward_hook(lambda _, __, output: recorded.append(output))
    with torch.no_grad():
        network(images)
    handle.remove()
    return recorded[0]


def test_everything_kept_is_refitted_to_itself(network: nn.Module) -> None:
    groups = coupled_channels(network, CONTEXT.example)
    fitted = ThiNet().refit(network, {group: torch.ones(group.size, dtype=torch.bool) for group in groups}, CONTEXT)
    assert all(torch.equal(a, b) for a, b in zip(fitted.parameters(), network.parameters(), strict=True))


def test_several_readers_count_in_proportion() -> None:
    class Two(nn.Module):
        """Two readers of the same three channels, one of which speaks a hundred times louder."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.soft, self.loud = nn.Linear(3, 3, bias=False), nn.Linear(3, 1), nn.Linear(3, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return torch.cat([self.soft(x), self.loud(x)], dim=1)

    network = Two()
    with torch.no_grad():
        network.first.weight.copy_(torch.eye(3))
        network.soft.weight.copy_(torch.tensor([[1.0, 2, 4]]))
        network.loud.weight.copy_(torch.tensor([[400.0, 100, 300]]))
    context = Context(example=torch.zeros(1, 3), batches=lambda: [(torch.ones(1, 3), torch.tensor([0]))])
    # shares of the squares: (1, 4, 16) / 21 and (16, 1, 9) / 26, so (0.66, 0.23, 1.11): the second goes first; with it
    # (3^2 / 21 + 5^2 / 26, -, 6^2 / 21 + 4^2 / 26) = (1.39, -, 2.33): then the first
    (score,) = ThiNet().score(network, coupled_channels(network, context.example), context)
    assert score.tolist() == [1, 0, 2]
    # each has factors of its own: without the second, soft (1, 4) (1 + d) makes up for 2 by d = 2 (1, 4) / 17
    (group,) = coupled_channels(network, context.example)
    keep = {group: torch.tensor([True, False, True])}
    pruned = remove_channels(ThiNet().refit(network, keep, context), keep)
    assert pruned.get_parameter("soft.weight").tolist() == [pytest.approx([1 * (1 + 2 / 17), 4 * (1 + 8 / 17)])]
    up = 100 / (400**2 + 300**2)
    assert pruned.get_parameter("loud.weight").tolist() == [pytest.approx([400 * (1 + 400 * up), 300 * (1 + 300 * up)])]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_coupling_is_pruned(build: Build, images: Tensor, name: str) -> None:
    network = build(name)
    pruned = ThiNet()(network, keep=remaining(network) // 2, context=CONTEXT)
    assert remaining(pruned) < remaining(network)
    assert pruned(images).shape == network(images).shape
    assert pruned(images).isfinite().all()


def test_dead_channels_go_first_and_leave_the_rest_alone(build: Build, images: Tensor) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("2.weight")[[1, 4]] = 0
        network.get_parameter("2.bias")[[1, 4]] = -1
    groups = coupled_channels(network, CONTEXT.example)
    assert set(order(ThiNet().score(network, groups, CONTEXT)[0])[:3]) >= {1, 4}
    keep = {groups[0]: ~torch.isin(torch.arange(8), torch.tensor([1, 4]))}
    fitted = remove_channels(ThiNet().refit(network, keep, CONTEXT), keep)
    torch.testing.assert_close(fitted(images), network(images))


def test_equal_channels_go_from_behind() -> None:
    network, context = single_output(3, torch.zeros(2, 3))
    (score,) = ThiNet().score(network, coupled_channels(network, context.example), context)
    assert score.tolist() == [2, 1, 0]


def test_bfloat16_weights_are_refitted_in_their_own_precision() -> None:
    network, context = single_output(3, torch.tensor([[3.0, -3, 1], [1, -1, 2]]))
    pruned = ThiNet()(network.bfloat16(), keep=8, context=context)
    assert pruned.get_parameter("2.weight").dtype == torch.bfloat16
    assert pruned.get_parameter("2.weight").tolist() == [[1.25, 0.75]]


@pytest.mark.parametrize(("images", "sizes"), [(4, [4]), (7, [5, 2]), (100, [5, 3])])
def test_one_pass_per_batch_of_as_many_images_as_asked(build: Build, images: int, sizes: list[int]) -> None:
    network = build("projection")
    groups = coupled_channels(network, CONTEXT.example)
    calls: list[int] = []
    network.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    ThiNet(images=images).score(network, groups, CONTEXT)
    assert calls == sizes
    ThiNet(images=images).refit(network, {groups[0]: torch.arange(groups[0].size) > 0}, CONTEXT)
    assert calls == sizes * 2


def test_the_seed_draws_the_outputs(build: Build) -> None:
    network = build("chain")
    groups = coupled_channels(network, CONTEXT.example)
    keep = {groups[0]: torch.arange(8) > 2}

    def refitted(seed: int) -> Tensor:
        context = Context(example=CONTEXT.example, batches=batches, seed=seed)
        return ThiNet(positions=1).refit(network, keep, context).get_parameter("4.weight")

    assert torch.equal(refitted(1), refitted(1))
    assert not torch.equal(refitted(1), refitted(2))


def test_nan_is_refused(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("1.weight")[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="expected scores without NaN, got NaN in 1, 2"):
        ThiNet()(network, keep=100, context=CONTEXT)


def test_hyperparameters_out_of_range() -> None:
    with pytest.raises(ValueError, match="expected images >= 1, got 0"):
        ThiNet(images=0)
    with pytest.raises(ValueError, match="expected positions >= 1, got 0"):
        ThiNet(positions=0)
