import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from evalsuite.networks.architectures.by_name import build
from evalsuite.networks.digest import network_digest, tensor_digest


@pytest.fixture
def network() -> nn.Module:
    return build("resnet8", classes=10, channels=3, image_size=32)


def test_is_sha256_and_the_same_for_a_copy(network: nn.Module) -> None:
    digest = network_digest(network)
    assert len(digest) == 64
    assert set(digest) <= set("0123456789abcdef")
    assert network_digest(copy.deepcopy(network)) == digest


@pytest.mark.parametrize("name", ["conv1.weight", "fc.bias", "layer2.0.bn1.running_var"])
def test_one_bit_makes_another(network: nn.Module, name: str) -> None:
    before = network_digest(network)
    network.state_dict()[name].view(torch.int32).flatten()[-1].bitwise_xor_(1)
    assert network_digest(network) != before


def _train_mode(network: nn.Module) -> None:
    network.eval()


def _frozen(network: nn.Module) -> None:
    network.requires_grad_(requires_grad=False)


def _batches(network: nn.Module) -> None:
    network.get_buffer("bn1.num_batches_tracked").fill_(17)


def _channels_last(network: nn.Module) -> None:
    network.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("change", [_train_mode, _frozen, _batches, _channels_last])
def test_what_does_not_change_outputs_does_not_count(network: nn.Module, change: Callable[[nn.Module], None]) -> None:
    before = network_digest(network)
    change(network)
    assert network_digest(network) == before


def test_structure_counts_even_where_tensors_are_the_same() -> None:
    layers = [nn.Linear(2, 2), nn.Linear(2, 2)]
    digests = {network_digest(nn.Sequential(layers[0], act, layers[1])) for act in (nn.ReLU(), nn.GELU(), nn.Tanh())}
    assert len(digests) == 3
    attention = build("vit_small?depth=1", classes=10, channels=3, image_size=8)
    fewer_heads = copy.deepcopy(attention)
    fewer_heads.get_submodule("blocks.0.attention").num_heads = 3
    assert network_digest(fewer_heads) != network_digest(attention)


def test_addresses_in_memory_do_not_count() -> None:
    class Odd(nn.Module):
        def extra_repr(self) -> str:
            return object.__repr__(self)

    # kept alive together, so that they cannot have the same address
    one, two = Odd(), Odd()
    assert repr(one) != repr(two)
    assert network_digest(one) == network_digest(two)


def test_a_live_mask_is_the_masked_network(network: nn.Module) -> None:
    masked = copy.deepcopy(network)
    prune.l1_unstructured(masked.get_submodule("conv1"), "weight", 0.5)
    live = network_digest(masked)
    prune.remove(masked.get_submodule("conv1"), "weight")
    assert network_digest(masked) == live
    assert live != network_digest(network)


def test_names_types_and_shapes_of_tensors_count() -> None:
    x = torch.arange(4, dtype=torch.int32)
    variants = [{"a": x}, {"b": x}, {"a": x.view(2, 2)}, {"a": x.view(torch.float32)}, {"a": x, "b": x[:0]}, {}]
    assert len({tensor_digest(variant) for variant in variants}) == len(variants)
    assert tensor_digest({"a": x, "b": x + 1}) == tensor_digest({"b": x + 1, "a": x})
    assert tensor_digest({"a": torch.tensor(1.5, dtype=torch.bfloat16)})
