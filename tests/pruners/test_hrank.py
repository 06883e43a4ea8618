from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralnets.weights import remaining
from pruners import Context, coupled_channels
from pruners.hrank import HRank

pytestmark = pytest.mark.slow

Build = Callable[[str], nn.Module]


def batches(sizes: Sequence[int] = (5, 3)) -> Iterable[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for size in sizes:
        yield torch.rand(size, 3, 8, 8, generator=generator), torch.randint(4, (size,), generator=generator)


CONTEXT = Context(example=torch.zeros(1, 3, 8, 8), batches=batches)


def scored(network: nn.Module, pruner: HRank | None = None, context: Context = CONTEXT) -> dict[str, Tensor]:
    groups = coupled_channels(network, context.example)
    result = (pruner or HRank()).score(network, groups, context)
    return {str(group): score for group, score in zip(groups, result, strict=True)}


def seen_by(network: nn.Module, name: str, what: str = "inputs") -> Tensor:
    """Inputs or outputs of a layer in a plain forward pass over all images."""
    observed: list[Tensor] = []
    layer = network.get_submodule(name)
    handle = layer.register_forward_hook(
        lambda _, inputs, output: observed.append(inputs[0] if what == "inputs" else output)
    )
    with torch.no_grad():
        network(torch.cat([images for images, _ in batches()]))
    handle.remove()
    return observed[0]


def ranks(maps: Tensor) -> Tensor:
    """Mean over examples of numpy's rank of each map."""
    return torch.from_numpy(np.linalg.matrix_rank(maps.numpy()).mean(0))


def identity(width: int) -> nn.Sequential:
    """Hands the channels of a picture on, through a ReLU, to another convolution."""
    network = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.ReLU(), nn.Conv2d(width, 1, 1), nn.Flatten())
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(width)[:, :, None, None])
        network[2].weight.fill_(1)
    return network


def test_ranks_by_hand() -> None:
    # the four channels: zeros, ones, two rows apart, the identity
    image = torch.zeros(4, 4, 4)
    image[1] = 1
    image[2, 0] = torch.tensor([1.0, 2, 3, 4])
    image[2, 1] = torch.tensor([4.0, 3, 2, 1])
    image[3] = torch.eye(4)
    pair = (image[None], torch.tensor([0]))
    context = Context(example=torch.zeros(1, 4, 4, 4), batches=lambda: [pair])
    assert [score.tolist() for score in scored(identity(4), HRank(), context).values()] == [[0, 1, 2, 4]]
    # of two images the mean: everything negative is cut off by the ReLU
    both = (torch.stack([image, -image]), torch.tensor([0, 0]))
    context = Context(example=torch.zeros(1, 4, 4, 4), batches=lambda: [both])
    assert [score.tolist() for score in scored(identity(4), HRank(), context).values()] == [[0, 0.5, 1, 2]]
    # 4 * 4 + 4 weights; the lowest rank goes
    pruned = HRank()(identity(4), keep=remaining(identity(4)) // 2, context=context)
    assert pruned.get_parameter("0.weight").shape[0] == 2
    assert pruned.get_parameter("0.weight").flatten(1).tolist() == torch.eye(4)[2:].tolist()


def test_small_singular_values_count_as_zero_up_to_the_tolerance() -> None:
    # singular values 1, 0.1, 0.001, 0
    image = torch.diag(torch.tensor([1.0, 0.1, 0.001, 0]))[None, None].expand(1, 2, 4, 4)
    context = Context(example=torch.zeros(1, 2, 4, 4), batches=lambda: [(image, torch.tensor([0]))])
    for rtol, expected in ((None, 3), (0.0, 3), (0.01, 2), (0.5, 1)):
        assert [score.tolist() for score in scored(identity(2), HRank(rtol=rtol), context).values()] == [[expected] * 2]


def test_what_convolutions_read(build: Build) -> None:
    network = build("vgg")
    torch.testing.assert_close(scored(network)["1, 2"], ranks(seen_by(network, "5")))
    network = build("projection")
    torch.testing.assert_close(scored(network)["6.conv1, 6.bn1"], ranks(seen_by(network, "6.conv2")))


def test_readers_of_a_residual_stream_are_averaged(build: Build) -> None:
    network = build("projection")
    outcome = next(score for name, score in scored(network).items() if name.startswith("1, 2"))
    readers = [ranks(seen_by(network, name)) for name in ("4.conv1", "5.conv1", "5.shortcut.0")]
    torch.testing.assert_close(outcome, torch.stack(readers).mean(0))


def test_gates_on_means_do_not_count(build: Build) -> None:
    # squeeze and excitation reads means, of rank 1
    network = build("mobile")
    actual = next(score for name, score in scored(network).items() if name.startswith("0, 1"))
    torch.testing.assert_close(actual, ranks(seen_by(network, "7")))


def test_maps_before_pooling_or_flattening(build: Build) -> None:
    network = build("chain")
    torch.testing.assert_close(scored(network)["4"], ranks(F.relu(seen_by(network, "4", "outputs"))))
    network = build("grouped")
    torch.testing.assert_close(scored(network)["6"], ranks(F.relu(seen_by(network, "6", "outputs"))))


def test_a_channel_of_a_grouped_convolution_is_one_of_each_group(build: Build) -> None:
    network = build("grouped")
    torch.testing.assert_close(scored(network)["0, 1"], ranks(seen_by(network, "3")).view(2, 4).mean(0))


def test_single_positions_say_how_often_a_channel_is_active(build: Build) -> None:
    network = build("vgg")
    torch.testing.assert_close(scored(network)["8, 9"], (seen_by(network, "12") > 0).double().mean(0))
    network = build("transformer")
    active = (seen_by(network, "layers.1.fc1", "outputs") > 0).any(1)
    torch.testing.assert_close(scored(network)["layers.1.fc1"], active.double().mean(0))


def test_every_coupling(network: nn.Module, images: Tensor) -> None:
    assert all(bool(((score >= 0) & (score <= 8)).all()) for score in scored(network).values())
    pruned = HRank()(network, keep=remaining(network) // 2, context=CONTEXT)
    assert remaining(pruned) < remaining(network)
    assert pruned(images).shape[0] == len(images)


def test_dead_channels_score_nothing(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("2.weight")[[1, 4]] = 0
        network.get_parameter("2.bias")[[1, 4]] = -1
    active = seen_by(network, "4").flatten(2).any(2).any(0)
    assert active.tolist()[1::3] == [False, False, True]
    assert torch.equal(scored(network)["1, 2"] > 0, active)


@pytest.mark.parametrize(("images", "sizes"), [(4, [4]), (7, [5, 2]), (100, [5, 3])])
def test_one_pass_per_batch_of_as_many_images_as_asked(build: Build, images: int, sizes: list[int]) -> None:
    network = build("projection")
    groups = coupled_channels(network, CONTEXT.example)
    calls: list[int] = []
    network.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    HRank(images=images).score(network, groups, CONTEXT)
    assert calls == sizes


def test_maps_that_are_not_finite_are_refused(build: Build) -> None:
    network = build("chain")
    with torch.no_grad():
        network.get_parameter("1.weight")[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="expected finite feature maps, got others at 4"):
        HRank()(network, keep=100, context=CONTEXT)


def test_hyperparameters_out_of_range() -> None:
    with pytest.raises(ValueError, match="expected images >= 1, got 0"):
        HRank(images=0)
    with pytest.raises(ValueError, match=r"expected rtol in \[0, 1\), got 1.0"):
        HRank(rtol=1.0)
