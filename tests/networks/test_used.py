"""What is counted is what a forward pass multiplies with, each number worked out by hand or by running the layer."""

from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from evalsuite.networks.costs.cost import Cost, cost, prunable_share

SHAPE = (1, 8, 8)


class Whole(nn.Module):
    """Calls a function of itself: networks of a few lines."""

    def __init__(self, run: Callable[..., Tensor], **layers: nn.Module | nn.Parameter) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


class Standardised(nn.Conv2d):
    def used(self) -> Tensor:
        centred = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return centred / (self.weight.std((1, 2, 3), keepdim=True) + 1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.used(), self.bias, self.stride, self.padding)


def drawn(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network.eval()


def halved(network: nn.Module, *names: str) -> nn.Module:
    """With zeros in the first half of some parameters."""
    with torch.no_grad():
        for name in names:
            parameter = network.get_parameter(name)
            parameter.view(-1)[: parameter.numel() // 2] = 0
    return network


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_layers_count_at_every_step(kind: type[nn.RNNBase], bidirectional: bool) -> None:
    layer = kind(8, 6, num_layers=2, bidirectional=bidirectional, batch_first=True)
    network = Whole(lambda s, x: s.head(s.layer(x[:, 0])[0][:, -1]), layer=layer, head=nn.Linear(6, 3))
    if bidirectional:
        network.head = nn.Linear(12, 3)
    matrices = sum(p.numel() for name, p in layer.named_parameters() if name.startswith("weight"))
    head = network.head.weight.numel()
    result = cost(halved(drawn(network), "layer.weight_hh_l0"), SHAPE)
    assert (result.prunable, result.dense_flops) == (matrices + head, 8 * matrices + head)
    zeros = layer.weight_hh_l0.numel() // 2
    assert (result.prunable_nonzero, result.flops) == (result.prunable - zeros, result.dense_flops - 8 * zeros)


def test_cells_called_in_a_loop() -> None:
    def run(s: Whole, x: Tensor) -> Tensor:
        state = torch.zeros(len(x), 5)
        for row in x[:, 0].unbind(1):
            state = s.cell(row, state)
        return s.head(state)

    outcome = cost(drawn(Whole(run, cell=nn.GRUCell(8, 5), head=nn.Linear(5, 2))), SHAPE)
    matrices = 15 * 8 + 15 * 5
    assert (outcome.prunable, outcome.dense_flops) == (matrices + 10, 8 * matrices + 10)


def test_weights_that_are_standardised_are_counted_as_they_are_used() -> None:
    network = halved(drawn(nn.Sequential(Standardised(1, 4, 3, bias=False), nn.Flatten())), "0.weight")
    zeros = int((network[0].used() == 0).sum())
    actual = cost(network, SHAPE)
    # the first two filters are all zero and stay so; no zero of a filter that is not would
    assert zeros == 18
    assert (actual.prunable, actual.prunable_nonzero) == (36, 18)
    assert (actual.dense_flops, actual.flops) == (36 * 36, 18 * 36)
    with torch.no_grad():
        network[0].weight.copy_(drawn(nn.Conv2d(1, 4, 3, bias=False)).weight)
        network[0].weight[:, :, 0] = 0
    assert not (network[0].used() == 0).any()
    assert cost(network, SHAPE).prunable_nonzero == 36


def test_standardised_networks_of_timm() -> None:
    network = timm.create_model("test_nfnet", num_classes=10).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("conv1.weight"):
                parameter[:, 0] = 0
    observed: list[tuple[int, int, int]] = []
    plain = F.conv2d

    def spy(x: Tensor, weight: Tensor, *rest: object, **more: object) -> Tensor:
        out = plain(x, weight, *rest, **more)
        observed.append((int((weight != 0).sum()), weight.numel(), out[0, 0].numel()))
        return out

    computed = cost(network, (3, 32, 32))
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(F, "conv2d", spy)
        network(torch.rand(1, 3, 32, 32))
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(observed) == len(convolutions)
    assert sum(type(m).__name__ == "ScaledStdConv2d" for m in convolutions) > 10
    linear = sum(m.weight.numel() for m in network.modules() if isinstance(m, nn.Linear))
    assert computed.prunable == sum(n for _, n, _ in observed) + linear
    assert computed.prunable_nonzero == sum(n for n, _, _ in observed) + linear
    assert computed.dense_flops == sum(n * places for _, n, places in observed) + linear


def test_a_head_for_training_is_not_counted() -> None:
    network = Whole(lambda s, x: s.head(x.flatten(1)), head=nn.Linear(64, 2), aux=nn.Linear(64, 5))
    result = cost(halved(network, "aux.weight"), SHAPE)
    assert (result.prunable, result.prunable_nonzero, result.unused) == (128, 128, ("aux.weight",))
    assert "aux.weight" in prunable_share(result).value


def test_weights_outside_of_layers_are_computed_with_and_not_prunable() -> None:
    def run(s: Whole, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), s.free) @ s.more + s.layer(x.flatten(1))

    free, more = nn.Parameter(torch.randn(7, 64)), nn.Parameter(torch.randn(7, 3))
    result = cost(halved(Whole(run, free=free, more=more, layer=nn.Linear(64, 3, bias=False)), "free"), SHAPE)
    assert (result.prunable, result.parameters) == (192, 448 + 21 + 192)
    assert (result.dense_flops, result.flops) == (448 + 21 + 192, 224 + 21 + 192)
    reading = prunable_share(result)
    assert (reading.topic, reading.basis) == ("prunable share", "measured")
    assert reading.value.startswith("prunable weights are 29.0% of all 661 parameters")


def test_most_networks_are_mostly_prunable() -> None:
    reading = prunable_share(cost(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), SHAPE))
    assert (reading.basis, reading.value) == ("measured", "prunable weights are 98.5% of all 650 parameters")


def test_products_of_activations_stand_apart() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    network = Whole(lambda s, x: s.head(s.layer(x[:, 0]).mean(1)), layer=layer, head=nn.Linear(8, 3)).eval()
    result = cost(network, SHAPE)
    # 8 tokens of width 8; in and out projections, two linear layers, the head
    assert result.prunable == 192 + 64 + 128 + 128 + 24
    assert result.dense_flops == 8 * (192 + 64 + 128 + 128) + 24
    assert result.products == 2 * 8 * 8 * 8
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            network(torch.zeros(1, *SHAPE))
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert 2 * (result.dense_flops + result.products) == counter.get_total_flops()


@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_weights_computed_from_others_count_once(wrap: Callable[[nn.Module], nn.Module]) -> None:
    layer = wrap(nn.Linear(64, 10, bias=False)).eval()
    result = cost(nn.Sequential(nn.Flatten(), layer), SHAPE)
    assert (result.prunable, result.dense_flops) == (640, 640)


def test_low_rank_updates_are_part_of_one_weight() -> None:
    def run(s: Whole, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), s.base.weight + s.up @ s.down)

    up, down = nn.Parameter(torch.randn(10, 2)), nn.Parameter(torch.randn(2, 64))
    network = halved(Whole(run, base=nn.Linear(64, 10, bias=False), up=up, down=down), "base.weight")
    result = cost(network, SHAPE)
    assert (result.prunable, result.prunable_nonzero) == (640, 640)
    assert (result.dense_flops, result.flops) == (640, 640)


def test_layers_on_constants_count_too() -> None:
    queries = nn.Parameter(torch.randn(1, 5, 8))

    def run(s: Whole, x: Tensor) -> Tensor:
        return (s.query(s.queries) @ s.key(x[:, 0]).transpose(1, 2)).flatten(1)

    network = Whole(run, queries=queries, query=nn.Linear(8, 8), key=nn.Linear(8, 8))
    result = cost(network, SHAPE)
    assert (result.prunable, result.dense_flops, result.products) == (128, 5 * 64 + 8 * 64, 5 * 8 * 8)


def test_parts_of_a_weight_count_as_parts() -> None:
    def run(s: Whole, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1)[:, :16], s.wide.weight[:4, :16]) + F.linear(
            x.flatten(1)[:, :8], s.wide.weight[:4, :8]
        )

    network = Whole(run, wide=nn.Linear(64, 10, bias=False))
    with torch.no_grad():
        network.wide.weight[0, :3] = 0
    result = cost(network, SHAPE)
    assert (result.prunable, result.prunable_nonzero, result.dense_flops) == (64, 61, 64 + 32)


def test_weights_cast_in_autocast_count_once() -> None:
    class Cast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 64)

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return self.layer(self.layer(x.flatten(1))).float()

    result = cost(Cast(), SHAPE)
    assert (result.prunable, result.dense_flops) == (4096, 2 * 4096)


def test_embeddings_are_looked_up_not_multiplied() -> None:
    def run(s: Whole, x: Tensor) -> Tensor:
        return s.head(s.table((x.flatten(1) * 9).long()).mean(1))

    result = cost(Whole(run, table=nn.Embedding(10, 6), head=nn.Linear(6, 3, bias=False)), SHAPE)
    assert (result.parameters, result.prunable, result.dense_flops) == (78, 18, 18)


def test_what_the_first_image_does_not_need_is_no_head_for_training() -> None:
    def run(s: Whole, x: Tensor) -> Tensor:
        return torch.stack([(s.dark if row.mean() < 0.5 else s.bright)(row.flatten()) for row in x])

    result = cost(Whole(run, dark=nn.Linear(64, 2), bright=nn.Linear(64, 2)), SHAPE)
    assert (result.prunable, result.unused, result.dense_flops) == (256, (), 128)


def test_networks_made_in_inference_mode_are_counted_the_same() -> None:
    def made() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(108, 4))

    with torch.inference_mode():
        inside = made()
    counts: Callable[[Cost], tuple[int, ...]] = lambda c: (c.prunable, c.dense_flops, c.parameters)  # noqa: E731
    assert counts(cost(inside, SHAPE)) == counts(cost(made(), SHAPE)) == (27 + 432, 27 * 36 + 432, 30 + 436)


def test_the_pass_leaves_no_hook_and_no_setting_behind() -> None:
    network = Whole(lambda s, x: s.layer(x.flatten(1)), layer=nn.Linear(64, 2)).train()
    cost(network, SHAPE)
    assert network.training
    assert not network.layer._forward_pre_hooks
    assert torch.backends.mha.get_fastpath_enabled()


def test_weights_that_share_one_stretch_of_memory_are_told_apart() -> None:
    # as cuDNN lays out the weights of recurrent layers
    network = drawn(Whole(lambda s, x: s.head(s.layer(x[:, 0])[0][:, -1]), layer=nn.LSTM(8, 6), head=nn.Linear(6, 3)))
    expected = cost(halved(network, "layer.weight_hh_l0"), SHAPE)
    flat = torch.cat([parameter.detach().flatten() for parameter in network.layer.parameters()])
    start = 0
    for name, parameter in list(network.layer.named_parameters()):
        part = flat[start : start + parameter.numel()].view(parameter.shape)
        setattr(network.layer, name, nn.Parameter(part))
        start += parameter.numel()
    assert len({parameter.untyped_storage().data_ptr() for parameter in network.layer.parameters()}) == 1
    result = cost(network, SHAPE)
    assert (result.prunable, result.prunable_nonzero) == (expected.prunable, expected.prunable_nonzero)
    assert (result.flops, result.dense_flops) == (expected.flops, expected.dense_flops)
