from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils import prune as reference

from neuralnets.weights import prunable, remaining
from pruners import Context
from pruners.magnitude import Magnitude

CONTEXT = Context(example=torch.zeros(1, 4))


def two_layers() -> nn.Sequential:
    network = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 1, bias=False))
    network[0].weight = nn.Parameter(torch.tensor([[0.9, -0.8, 0.1], [0.2, -0.3, 0.4]]))
    network[1].weight = nn.Parameter(torch.tensor([[-0.25, 0.05]]))
    return network


def survivors(network: nn.Module) -> list[list[list[float]]]:
    return [(weight != 0).int().tolist() for weight in prunable(network).values()]


def test_global_by_hand() -> None:
    # in order of size: .9 .8 .4 .3 | .25 .2 .1 .05
    pruned = Magnitude()(two_layers(), keep=4, context=CONTEXT)
    assert survivors(pruned) == [[[1, 1, 0], [0, 1, 1]], [[0, 0]]]
    pruned = Magnitude()(two_layers(), keep=5, context=CONTEXT)
    assert survivors(pruned) == [[[1, 1, 0], [0, 1, 1]], [[1, 0]]]


def test_layerwise_by_hand() -> None:
    # half of six and half of two
    pruned = Magnitude(allocation="uniform")(two_layers(), keep=4, context=CONTEXT)
    assert survivors(pruned) == [[[1, 1, 0], [0, 0, 1]], [[1, 0]]]


def random_network() -> nn.Sequential:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 5, 3, groups=1), nn.Linear(7, 6))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network


def test_same_masks_as_torch() -> None:
    network = random_network()
    total = remaining(network)
    for keep in (1, total // 3, total - 1):
        other = deepcopy(network)
        layers = [(module, "weight") for module in other if isinstance(module, (nn.Conv2d, nn.Linear))]
        reference.global_unstructured(layers, pruning_method=reference.L1Unstructured, amount=total - keep)
        expected: list[Tensor] = [module.weight_mask.bool() for module, _ in layers]
        pruned = Magnitude()(network, keep=keep, context=CONTEXT)
        result = [weight != 0 for weight in prunable(pruned).values()]
        assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))


def test_survivors_are_nested_and_unchanged() -> None:
    network = random_network()
    for scope in ("global", "uniform"):
        many = prunable(Magnitude(allocation=scope)(network, keep=400, context=CONTEXT))
        few = prunable(Magnitude(allocation=scope)(network, keep=37, context=CONTEXT))
        for name, weight in prunable(network).items():
            assert torch.equal(many[name], weight * (many[name] != 0))
            assert torch.equal(few[name], many[name] * (few[name] != 0))


def test_only_weights_are_touched() -> None:
    network = random_network()
    pruned = Magnitude()(network, keep=10, context=CONTEXT).state_dict()
    for name, value in network.state_dict().items():
        if name not in prunable(network):
            assert torch.equal(pruned[name], value)
