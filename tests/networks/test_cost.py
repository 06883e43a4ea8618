import copy
from collections.abc import Callable

import pytest
import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.flop_counter import FlopCounterMode

from evalsuite.networks.architectures.by_name import build
from evalsuite.networks.costs.cost import cost
from evalsuite.networks.normalized import Normalized


@pytest.mark.parametrize(
    ("arch", "macs"),
    # multiply-accumulates of Lost in Pruning's networks, as counted in its code
    [("resnet20", 40.8e6), ("densenet22", 31.2e6), ("vgg16_bn", 313e6), ("wrn16_8", 1.55e9)],
)
def test_multiplications_of_lost_in_pruning(arch: str, macs: float) -> None:
    network = build(arch, classes=10, channels=3, image_size=32)
    assert cost(network, (3, 32, 32)).dense_flops == pytest.approx(macs, rel=2e-3)


@pytest.mark.parametrize("arch", ["lenet5", "resnet8", "torchvision:mobilenet_v3_small", "torchvision:resnet18"])
def test_multiplications_agree_with_torch(arch: str) -> None:
    # torch counts two operations, a multiplication and an addition, for each
    network = build(arch, classes=10, channels=3, image_size=32).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))
    assert cost(network, (3, 32, 32)).dense_flops * 2 == counter.get_total_flops()


def test_parameters_and_multiplications_agree_with_torch_pruning() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8, bias=False), nn.Flatten(),
        nn.Linear(8 * 28 * 28, 10, bias=False),
    )  # fmt: skip
    operations, parameters = torch_pruning.utils.count_ops_and_params(network, torch.zeros(1, 3, 32, 32))
    ours = cost(network, (3, 32, 32))
    # it adds one operation for each of the 8 x 30 x 30 elements of the ReLU
    assert (ours.dense_flops + 7200, ours.parameters) == (operations, parameters)


def test_by_hand_with_zeros() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    network[0].weight.data[0] = 0  # 9 weights of 18, each used at 2 x 2 places
    network[3].weight.data[:, :5] = 0  # 15 weights of 24
    network[3].bias.data[0] = 0
    result = cost(network, (1, 4, 4))
    assert result.parameters == 18 + 2 + 2 + 2 + 24 + 3
    assert result.nonzero == result.parameters - 9 - 15 - 1
    assert (result.prunable, result.prunable_nonzero) == (18 + 24, 9 + 9)
    assert (result.dense_flops, result.flops) == (18 * 4 + 24, 9 * 4 + 9)
    # 51 parameters and 4 running statistics of 4 bytes, and a counter of 8
    assert result.megabytes == pytest.approx((55 * 4 + 8) / 1e6)


def test_live_masks_count_as_zeros(images: Callable[..., Tensor]) -> None:
    network = build("resnet8", classes=10, channels=3, image_size=32)
    before = cost(network, (3, 32, 32))
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    prune.global_unstructured([(m, "weight") for m in convolutions], prune.L1Unstructured, amount=1000)
    network(images())
    live = cost(network, (3, 32, 32))
    assert live.prunable_nonzero == before.prunable_nonzero - 1000
    assert live.nonzero == before.nonzero - 1000
    assert (live.parameters, live.prunable, live.dense_flops) == (
        before.parameters,
        before.prunable,
        before.dense_flops,
    )
    for m in convolutions:
        prune.remove(m, "weight")
    assert cost(network, (3, 32, 32)) == live


def test_attention_by_hand() -> None:
    class Attend(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2).transpose(1, 2)
            return self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1)

    outcome = cost(Attend(), (8, 3, 3))
    # in_proj 24 x 8 and out_proj 8 x 8, at 9 tokens
    assert (outcome.prunable, outcome.dense_flops) == (192 + 64, 9 * 256)


def test_weights_used_twice_are_kept_once_and_computed_twice() -> None:
    layer = nn.Linear(4, 4, bias=False)
    actual = cost(nn.Sequential(nn.Flatten(), layer, nn.ReLU(), layer), (1, 2, 2))
    assert (actual.parameters, actual.prunable, actual.dense_flops) == (16, 16, 32)


def test_transposed_convolutions_count_input_positions() -> None:
    network = nn.Sequential(nn.ConvTranspose2d(2, 3, 2, stride=2, bias=False), nn.Flatten()).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 2, 5, 5))
    assert cost(network, (2, 5, 5)).dense_flops == 24 * 25 == counter.get_total_flops() // 2


def test_network_is_left_as_it_was() -> None:
    network = Normalized(build("resnet8", classes=10, channels=3, image_size=32), (0.5,) * 3, (0.2,) * 3)
    network.get_submodule("network.layer1").eval()
    before = copy.deepcopy(network.state_dict())
    modes = [m.training for m in network.modules()]
    cost(network, (3, 32, 32))
    assert [m.training for m in network.modules()] == modes
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert not any(m._forward_hooks for m in network.modules())
