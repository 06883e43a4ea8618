import math
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor, nn

from neuralnets import bounds
from neuralnets.bounds import linf_ball, preactivations
from pruners.regularisers import hook
from pruners.regularisers.nrs import Nrs, nrs

pytestmark = pytest.mark.slow

LABELS = torch.zeros(3, dtype=torch.long)


def network(gamma: Callable[[int], Tensor]) -> nn.Sequential:
    generator = Generator().manual_seed(0)
    result = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 3, 3, 2),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12, 5),
        nn.ReLU(),
        nn.Linear(5, 2),
    )
    with torch.no_grad():
        for name, tensor in result.state_dict().items():
            if tensor.is_floating_point():
                draw = torch.rand if name.endswith("var") else torch.randn
                tensor.copy_(draw(tensor.shape, generator=generator) + (0.5 if name.endswith("var") else 0.0))
        result[1].weight.copy_(gamma(4))
        result[4].weight.copy_(gamma(3))
    return result


IMAGES = torch.rand(3, 2, 6, 6, generator=Generator().manual_seed(1))


def varied(n: int) -> Tensor:
    return torch.linspace(0.4, 2.0, n)


def box_before(layers: nn.Sequential, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Interval arithmetic written out: centre and radius through each layer, with running statistics."""
    for layer in layers:
        centre, radius = (low + high) / 2, (high - low) / 2
        if isinstance(layer, nn.ReLU | nn.Flatten):
            low, high = layer(low), layer(high)
            continue
        if isinstance(layer, nn.BatchNorm2d):
            scale = (layer.weight / (layer.running_var + layer.eps).sqrt())[:, None, None]
            centre = (centre - layer.running_mean[:, None, None]) * scale + layer.bias[:, None, None]
            radius = radius * scale.abs()
        elif isinstance(layer, nn.Conv2d):
            centre = layer(centre)
            radius = nn.functional.conv2d(radius, layer.weight.abs(), None, layer.stride, layer.padding)
        else:
            centre, radius = layer(centre), radius @ layer.weight.abs().T
        low, high = centre - radius, centre + radius
    return low, high


def written_out(layers: nn.Sequential, images: Tensor, eps: float, gammas: list[Tensor]) -> Tensor:
    """The mean over 4 + 3 channels behind batch norms and 5 neurons without."""
    start = (images - eps).clamp(0, 1), (images + eps).clamp(0, 1)
    losses = []
    for end, gamma in zip((2, 5, 8), [*gammas, torch.ones(5)], strict=True):
        low, high = box_before(layers[:end], *start)
        losses += [-torch.tanh(1 + low[:, k] * high[:, k] / g**2).mean() for k, g in enumerate(gamma)]
    return torch.stack(losses).mean()


def test_one_neuron_by_hand() -> None:
    # w = 2, b = -1 on [0.4, 0.6]: z in [-0.2, 0.2], so -tanh(1 - 0.04); behind a batch norm of gamma 0.5 and standard
    # deviation 1 it is [-0.1, 0.1], and 0.01 / 0.25 is 0.04 again
    plain = nn.Sequential(nn.Flatten(), nn.Linear(1, 1), nn.ReLU())
    normed = nn.Sequential(nn.Flatten(), nn.Linear(1, 1), nn.BatchNorm1d(1, eps=0.0), nn.ReLU())
    for model in (plain, normed):
        with torch.no_grad():
            model[1].weight.fill_(2.0)
            model[1].bias.fill_(-1.0)
    with torch.no_grad():
        normed[2].weight.fill_(0.5)
    image = torch.full((1, 1, 1, 1), 0.5)
    for model in (plain, normed):
        penalty = Nrs(weight=3.0, eps=0.1)(model, image, LABELS[:1])
        assert penalty.item() == pytest.approx(-3 * math.tanh(0.96), rel=1e-5)


@pytest.mark.parametrize("eps", [0.0, 0.02, 0.3])
def test_the_formula_written_out(eps: float) -> None:
    model = network(varied)
    penalty = Nrs(weight=1.0, eps=eps)(model, IMAGES, LABELS)
    expected = written_out(model.eval(), IMAGES, eps, [varied(4), varied(3)])
    torch.testing.assert_close(penalty, expected, rtol=1e-5, atol=1e-6)


def test_at_gamma_one_it_is_the_rs_loss() -> None:
    model = network(torch.ones)
    for each in preactivations(model, linf_ball(IMAGES, 0.02)):
        assert each.gamma is None or each.gamma.eq(1).all()
        rs = -torch.tanh(1 + each.low * each.high)
        expected = torch.stack([rs[:, channel].mean() for channel in range(rs.shape[1])])
        torch.testing.assert_close(nrs(each), expected)


def test_where_gamma_divides_it_gets_no_gradient() -> None:
    model = network(varied).double()
    images = IMAGES.double()
    Nrs(weight=1.0, eps=0.02)(model, images, LABELS).backward()
    outcome = model[1].weight.grad
    gammas = [model[1].weight.detach().clone(), model[4].weight.detach().clone()]
    # the derivative with the dividing gamma as a constant; with that one varied too it is another
    layers = model.eval()
    constant, whole = (
        torch.autograd.grad(written_out(layers, images, 0.02, divisors), [layers[1].weight])[0]
        for divisors in (gammas, [layers[1].weight, layers[4].weight])
    )
    torch.testing.assert_close(outcome, constant)
    assert not torch.allclose(outcome, whole)


def test_a_normalisation_scaled_as_a_whole_costs_the_same() -> None:
    # gamma and beta times 10: l and u, too; that is what RS takes for more instability, or less
    model = network(varied)
    first = nn.Sequential(*model[:3])
    before, rs = Nrs(weight=1.0)(first, IMAGES, LABELS).item(), rs_loss(first)
    with torch.no_grad():
        first[1].weight.mul_(10)
        first[1].bias.mul_(10)
    assert Nrs(weight=1.0)(first, IMAGES, LABELS).item() == pytest.approx(before, rel=1e-5)
    assert abs(rs_loss(first) - rs) > 0.01


def rs_loss(model: nn.Module) -> float:
    (each,) = preactivations(model, linf_ball(IMAGES, 2 / 255))
    return -torch.tanh(1 + each.low * each.high).mean().item()


def test_a_dead_normalisation_is_stable_and_no_trouble() -> None:
    model = network(torch.zeros)
    penalty = Nrs(weight=1.0)(model, IMAGES, LABELS)
    penalty.backward()
    assert penalty.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_training_on_it_makes_relus_stable() -> None:
    model = network(varied).double()
    images = IMAGES.double()

    def unstable() -> int:
        return sum(
            int(((each.low < 0) & (each.high > 0)).sum()) for each in preactivations(model, linf_ball(images, 0.05))
        )

    before = unstable()
    optimizer = torch.optim.SGD(model.parameters(), 0.2)
    for _ in range(200):
        optimizer.zero_grad()
        Nrs(weight=1.0, eps=0.05)(model, images, LABELS).backward()
        optimizer.step()
    assert unstable() < before / 2


def test_without_relus() -> None:
    with pytest.raises(ValueError, match="expected a network with ReLUs"):
        Nrs()(nn.Sequential(nn.Flatten(), nn.Linear(72, 2)), IMAGES, LABELS)


@pytest.mark.parametrize("eps", [-0.1, float("nan")])
def test_hyperparameters_out_of_range(eps: float) -> None:
    with pytest.raises(ValueError, match=f"expected eps >= 0, got {eps}"):
        Nrs(eps=eps)


def test_a_training_takes_its_network_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[nn.Module] = []
    real = bounds.trace
    monkeypatch.setattr("pruners.regularisers.nrs.trace", lambda *args: (traced.append(args[0]), real(*args))[1])
    penalty, one, other = hook(Nrs(weight=1.0, eps=0.05)).penalty, network(varied), network(torch.ones)
    for model in (one, one, other, one):
        with torch.no_grad():
            model[0].weight.mul_(0.9)
        # weights as they are now
        actual = penalty(model, IMAGES, LABELS, 0.0)
        assert torch.equal(
            actual, torch.cat([nrs(each) for each in preactivations(model, linf_ball(IMAGES, 0.05))]).mean()
        )
    assert traced == [one, other, one]
