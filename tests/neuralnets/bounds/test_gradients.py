"""Bounds are trained through."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from neuralnets import bounds

Margins = Callable[[bounds.Graph, bounds.Region, Tensor], Tensor]
LABELS = torch.tensor([2, 0, 3])


@pytest.mark.parametrize("margins", [bounds.interval_margins, bounds.crown_ibp_margins, bounds.crown_margins])
@pytest.mark.parametrize("ball", [bounds.linf_ball, bounds.l2_ball])
def test_gradients_are_difference_quotients(
    network: nn.Module, images: Tensor, margins: Margins, ball: Callable[[Tensor, float], bounds.Region]
) -> None:
    region = ball(images, 0.02)
    graph = bounds.trace(network, images[:1])
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    generator = torch.Generator().manual_seed(0)
    direction = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]
    gradient = torch.autograd.grad(margins(graph, region, LABELS).sum(), parameters)
    slope = sum(float((g * d).sum()) for g, d in zip(gradient, direction, strict=True))
    values = []
    with torch.no_grad():
        # so small a step that hardly any ReLU passes a kink
        for step in (1e-7, -2e-7):
            for parameter, along in zip(parameters, direction, strict=True):
                parameter.add_(along, alpha=step)
            values.append(float(margins(graph, region, LABELS).sum()))
    assert slope == pytest.approx((values[0] - values[1]) / 2e-7, rel=1e-4)


def test_dead_filters_have_gradients(build: Callable[[str, int], nn.Module], images: Tensor) -> None:
    network = build("residual", 0)
    with torch.no_grad():
        network[1].weight[0] = 0
        network[1].bias[0] = 0
    for region in (bounds.linf_ball(images, 0.0), bounds.linf_ball(images, 0.1), bounds.l2_ball(images, 0.1)):
        for margins in (bounds.interval_margins, bounds.crown_ibp_margins):
            network.zero_grad()
            margins(network, region, LABELS).sum().backward()
            assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("name", ["residual", "grouped"])
def test_bounds_at_a_batch_are_those_of_the_function_in_training(
    build: Callable[[str, int], nn.Module], images: Tensor, name: str
) -> None:
    network, twin = build(name, 0).train(), build(name, 0).train()
    for module in (*network.modules(), *twin.modules()):
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    graph, logits = bounds.at_batch(bounds.trace(network, images[:1]), images)
    point = bounds.interval(graph, bounds.Box(low=images, high=images))
    torch.testing.assert_close(point.low, logits, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(point.high, logits, rtol=1e-10, atol=1e-10)
    # the running statistics have moved by one batch, as after the ordinary pass
    assert torch.equal(logits, twin(images))
    assert all(torch.equal(value, twin.state_dict()[key]) for key, value in network.state_dict().items())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_gradients_go_through_the_statistics_of_the_batch() -> None:
    # batch norm hides the scale of what comes before it, and so do bounds at the statistics of the batch
    network = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4, eps=1e-15), nn.ReLU(), nn.Linear(4, 2))
    network = network.double().train()
    images = torch.rand(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    graph, _ = bounds.at_batch(bounds.trace(network, images[:1]), images)
    bounds.interval(graph, bounds.linf_ball(images, 0.05)).low.sum().backward()
    weight = network[0].weight
    along_scale = (weight.grad * weight).sum(1)
    assert weight.grad.abs().max() > 1e-3
    torch.testing.assert_close(along_scale, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-10)


def test_batch_norms_in_evaluation_mode_stay_at_their_statistics(
    build: Callable[[str, int], nn.Module], images: Tensor
) -> None:
    network = build("residual", 0)
    graph, logits = bounds.at_batch(bounds.trace(network, images[:1]), images)
    assert graph.statistics == {}
    assert torch.equal(logits, network(images))
