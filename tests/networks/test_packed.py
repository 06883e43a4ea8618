"""Networks that torch quantised in place: their weights are packed where neither parameters nor buffers show them."""

import copy

import pytest
import torch
from torch import nn

from evalsuite.networks.architectures.by_name import build
from evalsuite.networks.costs.cost import cost
from evalsuite.networks.digest import network_digest
from evalsuite.networks.normalized import Normalized
from evalsuite.networks.programs.program import differentiable

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
SHAPE = (1, 8, 8)


def bare(seed=0):
    return build("lenet5", classes=10, channels=1, image_size=8, seed=seed).eval()


def dynamic(seed=0):
    quantised = torch.ao.quantization.quantize_dynamic(bare(seed), {nn.Linear}, dtype=torch.qint8)
    return Normalized(quantised, (0.3,), (0.4,)).eval()


def test_packed_weights_are_part_of_who_a_network_is():
    network, again = dynamic(), dynamic()
    assert network_digest(network) == network_digest(again)
    other = copy.deepcopy(network)
    layer = other.network.fc3
    weight = layer.weight()
    turned = torch._make_per_tensor_quantized_tensor(-weight.int_repr(), weight.q_scale(), weight.q_zero_point())
    layer.set_weight_bias(turned, layer.bias())
    images = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(network(images), other(images))
    assert network_digest(network) != network_digest(other)
    scaled = torch._make_per_tensor_quantized_tensor(weight.int_repr(), 2 * weight.q_scale(), weight.q_zero_point())
    layer.set_weight_bias(scaled, layer.bias())
    assert network_digest(network) != network_digest(other)


def test_packed_weights_are_counted():
    result, expected = cost(dynamic(), SHAPE), cost(bare(), SHAPE)
    assert (result.parameters, result.prunable) == (expected.parameters, expected.prunable)
    assert result.dense_flops == expected.dense_flops
    zeros = sum(
        int((m.weight().int_repr() == 0).sum()) for m in dynamic().modules() if callable(getattr(m, "weight", None))
    )
    assert zeros > 0
    assert result.prunable_nonzero == expected.prunable_nonzero - zeros
    assert expected.megabytes / 4 < result.megabytes < expected.megabytes / 2


def test_convolutions_too():
    network = nn.Sequential(torch.ao.quantization.QuantStub(), nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(108, 10))
    network = nn.Sequential(*network, torch.ao.quantization.DeQuantStub()).eval()
    network.qconfig = torch.ao.quantization.get_default_qconfig("x86")
    prepared = torch.ao.quantization.prepare(network)
    prepared(torch.rand(4, *SHAPE))
    outcome = cost(torch.ao.quantization.convert(prepared), SHAPE)
    # 27 weights at 36 places, 1080 at one; 13 biases
    assert (outcome.prunable, outcome.parameters, outcome.dense_flops) == (1107, 1120, 27 * 36 + 1080)


def test_a_quantised_network_has_no_gradients():
    assert differentiable(bare(), SHAPE)
    for _ in range(2):  # torch warns the first time only
        assert not differentiable(dynamic(), SHAPE)


def test_tied_weights_leave_the_digest_of_plain_networks_alone():
    one = nn.Linear(4, 4)
    network = nn.Sequential(one, one)
    from evalsuite.networks.packed_weights import packed

    assert packed(network) == {}
