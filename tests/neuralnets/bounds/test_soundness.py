"""No input of the region may lead out of the bounds."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune

from neuralnets import bounds

pytestmark = pytest.mark.slow

METHODS = (bounds.interval, bounds.crown_ibp, bounds.crown)
MARGINS = (bounds.interval_margins, bounds.crown_ibp_margins, bounds.crown_margins)
LABELS = torch.tensor([2, 0, 3])
# float64 on numbers below a thousand
ROUNDING = 1e-11


def corners_and_points(box: bounds.Box, generator: torch.Generator, count: int = 60) -> Tensor:
    """(count, n, ...): corners, where linear functions are extreme, then points from inside."""
    share = torch.rand(count, *box.low.shape, generator=generator, dtype=torch.float64)
    share[: count // 2].round_()
    return box.low + share * (box.high - box.low)


def ball_points(images: Tensor, radius: float, generator: torch.Generator, count: int = 60) -> Tensor:
    """(count, n, ...): from the sphere, clipped to [0, 1], which leads inwards as images are in there."""
    direction = torch.randn(count, *images.shape, generator=generator, dtype=torch.float64)
    length = torch.linalg.vector_norm(direction.flatten(2), dim=2)
    return (images + radius * direction / length[..., None, None, None]).clamp(0, 1)


def check(network: nn.Module, region: bounds.Region, points: Tensor) -> None:
    graph = bounds.trace(network, region.box.low[:1])
    with torch.no_grad():
        outputs = network(points.flatten(0, 1)).view(*points.shape[:2], -1)
        labelled = outputs.gather(2, LABELS.expand(len(points), -1)[..., None])
        others = torch.arange(outputs.shape[2]) != LABELS[:, None]
        margins = (labelled - outputs)[:, others].view(len(points), len(LABELS), -1)
        for method in METHODS:
            box = method(graph, region)
            assert (outputs >= box.low - ROUNDING).all(), method.__name__
            assert (outputs <= box.high + ROUNDING).all(), method.__name__
        for method in MARGINS:
            assert (margins >= method(graph, region, LABELS) - ROUNDING).all(), method.__name__


@settings(max_examples=12)
@given(
    name=st.sampled_from(["residual", "pooled", "dense", "grouped", "perceptron"]),
    seed=st.integers(0, 10_000),
    radius=st.sampled_from([0.0, 0.003, 0.03, 0.3]),
)
def test_points_of_a_box_stay_inside(
    build: Callable[[str, int], nn.Module], images: Tensor, name: str, seed: int, radius: float
) -> None:
    region = bounds.linf_ball(images, radius)
    check(build(name, seed), region, corners_and_points(region, torch.Generator().manual_seed(seed)))


@settings(max_examples=8)
@given(
    name=st.sampled_from(["residual", "pooled", "dense", "grouped", "perceptron"]),
    seed=st.integers(0, 10_000),
    radius=st.sampled_from([0.01, 0.2, 2.0]),
)
def test_points_of_a_ball_stay_inside(
    build: Callable[[str, int], nn.Module], images: Tensor, name: str, seed: int, radius: float
) -> None:
    points = ball_points(images, radius, torch.Generator().manual_seed(seed))
    check(build(name, seed), bounds.l2_ball(images, radius), points)


def test_points_stay_inside_before_every_relu(network: nn.Module, images: Tensor) -> None:
    region = bounds.linf_ball(images, 0.02)
    graph = bounds.trace(network, images[:1])
    wide = bounds.preactivations(graph, region)
    for point in corners_and_points(region, torch.Generator().manual_seed(1), 20):
        exact = bounds.preactivations(graph, bounds.Box(low=point, high=point))
        for before, at in zip(wide, exact, strict=True):
            assert (at.low >= before.low - ROUNDING).all()
            assert (at.high <= before.high + ROUNDING).all()


def test_dearer_methods_are_tighter(network: nn.Module, images: Tensor) -> None:
    region = bounds.linf_ball(images, 0.02)
    with torch.no_grad():
        interval, crown_ibp, crown = (method(network, region, LABELS) for method in MARGINS)
        assert (crown_ibp >= interval).all()
        assert (crown >= interval).all()
        # by far on the average; not everywhere, since the slopes differ
        assert crown_ibp.mean() > interval.mean() + 1e-3
        assert crown.mean() >= crown_ibp.mean()


def test_a_ball_is_narrower_than_the_box_around_it(network: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        for method in METHODS:
            ball = method(network, bounds.l2_ball(images, 0.05))
            box = method(network, bounds.linf_ball(images, 0.05))
            assert (ball.high - ball.low < 0.9 * (box.high - box.low)).all(), method.__name__


def test_pruned_weights(build: Callable[[str, int], nn.Module], images: Tensor) -> None:
    network = build("residual", 3)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            prune.l1_unstructured(module, "weight", amount=0.8)
    region = bounds.linf_ball(images, 0.05)
    masked = bounds.crown(network, region)
    check(network, region, corners_and_points(region, torch.Generator().manual_seed(4)))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            # what pruning left of the weight is a tensor still, and is still the one that is used
            assert isinstance(module.weight, Tensor)
            prune.remove(module, "weight")
    baked = bounds.crown(network, region)
    torch.testing.assert_close(masked.low, baked.low, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(masked.high, baked.high, rtol=1e-12, atol=1e-12)


def test_float32_is_off_by_rounding_only(network: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        exact = bounds.crown_margins(network, bounds.linf_ball(images, 0.01), LABELS)
        single = bounds.crown_margins(network.float(), bounds.linf_ball(images.float(), 0.01), LABELS)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", MARGINS, ids=lambda method: method.__name__)
def test_bounds_do_not_depend_on_the_batch(
    network: nn.Module, images: Tensor, method: Callable[[nn.Module, bounds.Region, Tensor], Tensor]
) -> None:
    region = bounds.linf_ball(images, 0.03)
    with torch.no_grad():
        together = method(network, region, LABELS)
        for i in range(len(images)):
            alone = method(network, bounds.linf_ball(images[i : i + 1], 0.03), LABELS[i : i + 1])
            torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-12, atol=1e-12)


def test_numbers_that_are_none_certify_nothing(network: nn.Module, images: Tensor) -> None:
    graph = bounds.trace(network, images[:1])
    with torch.no_grad():
        next(iter(network.parameters())).view(-1)[0] = float("nan")
        for method in MARGINS:
            assert not (method(graph, bounds.linf_ball(images, 0.01), LABELS) > 0).all(1).any(), method.__name__


@pytest.mark.parametrize("name", ["residual", "pooled", "grouped", "perceptron"])
def test_no_examples_have_no_bounds(build: Callable[[str, int], nn.Module], images: Tensor, name: str) -> None:
    graph, none = bounds.trace(build(name, 0), images[:1]), bounds.linf_ball(images[:0], 0.01)
    for method in METHODS:
        assert method(graph, none).low.shape == (0, 4), method.__name__
    for method in MARGINS:
        assert method(graph, none, LABELS[:0]).shape == (0, 3), method.__name__
