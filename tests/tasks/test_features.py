"""Pixels that matter, against closed forms on networks whose log-odds are a sum over pixels, and images by hand."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from evalsuite.data import Batch
from evalsuite.extend import Domain
from evalsuite.networks.normalized import Normalized
from evalsuite.tasks.features import Features, unpacked


class Linear(nn.Module):
    """Two classes; the log-odds of the second are the sum of `weight` * image."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.as_tensor(weight, dtype=torch.float32), requires_grad=False)

    def forward(self, images):
        odds = (images * self.weight).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


class Counting(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.images = inner, 0

    def forward(self, images):
        self.images += len(images)
        return self.inner(images)


def batch(images, labels):
    images = torch.as_tensor(images, dtype=torch.float32)
    return Batch(images=images, labels=torch.as_tensor(labels), ids=tuple(f"{k:04x}" for k in range(len(images))))


def random_case(n=6, channels=3, side=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, channels, side, side, generator=generator)
    network = Linear(torch.randn(channels, side, side, generator=generator))
    return network, batch(images, torch.randint(2, (n,), generator=generator))


def small_net(seed=0, classes=3):
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, classes))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return net.eval().requires_grad_(requires_grad=False)


def kept_of(task, network, shard):
    (observed,) = task.observe([network], shard, seed=0).networks
    return unpacked(observed["kept"], shard.images[0, 0].numel())


def closed_form(network, shard, colour, keep):
    """Masking a pixel takes sum over channels of weight * (image - colour) from the log-odds of the second class."""
    share = ((shard.images - colour) * network.weight).sum(1).flatten(1).numpy()
    sign = np.where(network(shard.images).argmax(1).numpy() == 1, 1, -1)[:, None]
    most = np.argsort(-sign * share, axis=1)[:, :keep]
    expected = np.zeros(share.shape, dtype=bool)
    np.put_along_axis(expected, most, values=True, axis=1)
    return expected


@pytest.mark.parametrize("settings", [{"method": "exact"}, {"steps": 1}, {"steps": 4}, {"steps": 500}])
def test_the_closed_form_where_log_odds_are_a_sum_over_pixels(settings):
    network, shard = random_case()
    result = kept_of(Features(share=0.2, **settings), network, shard)
    np.testing.assert_array_equal(result, closed_form(network, shard, 0.5, keep=5))


def test_masked_pixels_take_the_colour_that_the_network_normalises_to_zero():
    inner, shard = random_case()
    mean, std = [0.1, 0.7, 0.3], [0.5, 0.25, 1.0]
    network = Normalized(inner, mean, std)
    # (x - mean) / std: the weights become weight / std, the colour the mean
    flat = Linear(inner.weight / torch.tensor(std)[:, None, None])
    centre = torch.tensor(mean)[:, None, None]
    shift = (flat.weight * centre).sum()
    sign = (flat.weight * shard.images).sum((1, 2, 3)) > shift
    contributions = ((shard.images - centre) * flat.weight).sum(1).flatten(1) * torch.where(sign, 1, -1)[:, None]
    keep = contributions.argsort(dim=1, descending=True)[:, :5]
    expected = torch.zeros(contributions.shape, dtype=torch.bool).scatter(1, keep, value=True).numpy()
    for method in ("exact", "gradient"):
        task = Features(share=0.2, method=method)
        (recorded,) = task.observe([network], shard, seed=0).networks
        np.testing.assert_array_equal(unpacked(recorded["kept"], 25), expected)
        left = np.where(expected, contributions.numpy(), 0).sum(1) * np.where(sign, 1, -1)
        odds = np.where(shard.labels.numpy() == 1, left, -left)
        np.testing.assert_allclose(recorded["own_confidence"], 1 / (1 + np.exp(-odds)), rtol=1e-5)


def test_two_by_two_by_hand():
    """Log-odds of class 1: 8 a b + 2 c - d for pixels a b / c d, less 0.5 each; all pixels 1 but d, which is 0.5.

    Whole: 8 * 0.25 + 1 - 0 = 3, so class 1 is predicted. To be masked first: a leaves 1, b leaves 1, c leaves 2, d
    leaves 3: d goes. Then a: 1, b: 1, c: 2: c goes. Of a and b, equals that leave 0 each, the first goes, and b alone
    is left. The gradient in one step: slopes times contrasts are a 8 * 0.5 * 0.5 = 2, b 2, c 1, d 0: b remains as well.
    """

    class Product(nn.Module):
        def forward(self, images):
            a, b, c, d = (images.flatten(1) - 0.5).unbind(1)
            odds = 8 * a * b + 2 * c - d
            return torch.stack([torch.zeros_like(odds), odds], dim=1)

    shard = batch([[[[1.0, 1.0], [1.0, 0.5]]]] * 2, [1, 0])
    for settings in ({"method": "exact"}, {"steps": 1}):
        (noted,) = Features(share=0.25, **settings).observe([Product()], shard, seed=0).networks
        assert unpacked(noted["kept"], 4).tolist() == [[False, True, False, False]] * 2
        assert noted["top"].tolist() == [1, 1]
        np.testing.assert_allclose(noted["own_confidence"], [0.5, 0.5])
    (noted,) = Features(share=0.5, method="exact").observe([Product()], shard, seed=0).networks
    assert noted["kept"].tolist() == [[0b11000000]] * 2
    np.testing.assert_allclose(noted["own_confidence"], [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))], rtol=1e-6)


def test_exact_is_the_greedy_search_itself():
    """Written out again in plain loops, with probabilities in double precision."""
    net = small_net().double()
    images = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(5))
    outcome = kept_of(Features(share=0.25, method="exact"), net.float(), batch(images, [0, 1, 2]))
    net = net.double()
    for image, kept in zip(images.double(), outcome, strict=True):
        prediction, left = int(net(image[None]).argmax()), list(range(16))

        def sure(masked, image=image, prediction=prediction):
            shown = image.clone().flatten()
            shown[list(masked)] = 0.5
            return float(net(shown.reshape(1, 1, 4, 4)).softmax(-1)[0, prediction])

        while len(left) > 4:
            gone = set(range(16)) - set(left)
            left.remove(max(left, key=lambda pixel: (sure(gone | {pixel}), -pixel)))
        assert np.flatnonzero(kept).tolist() == left


@pytest.mark.parametrize("method", ["exact", "gradient"])
def test_of_equals_the_first_goes(method):
    network = Linear(torch.ones(1, 4, 4))
    actual = kept_of(Features(share=0.25, method=method), network, batch(torch.ones(1, 1, 4, 4), [1]))
    assert np.flatnonzero(actual[0]).tolist() == [12, 13, 14, 15]


@pytest.mark.parametrize("method", ["exact", "gradient"])
def test_sure_networks_are_no_ties(method):
    """Probabilities of 1 - 1e-20 are 1 in 32 bits, whatever is masked; their log-odds still differ."""
    weight = torch.arange(1.0, 10.0).flip(0).reshape(1, 3, 3) * 20
    computed = kept_of(Features(share=0.34, method=method), Linear(weight), batch(torch.ones(1, 1, 3, 3), [1]))
    assert np.flatnonzero(computed[0]).tolist() == [0, 1, 2]


def test_passes_are_those_that_are_made():
    domain = Domain(shape=(1, 4, 4), classes=3)
    shard = batch(torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(1)), [0, 1])
    network = Counting(small_net())
    exact = Features(share=0.25, method="exact")
    exact.observe([network], shard, seed=0)
    assert network.images / 2 == exact.forward_passes(domain) == 2 + sum(range(5, 17))
    network.images = 0
    quick = Features(share=0.25, steps=5)
    quick.observe([network], shard, seed=0)
    # a backward pass counts as two
    assert quick.forward_passes(domain) == quick.forward_passes() == 2 + 3 * 5
    assert network.images / 2 == 2 + 5
    assert Features(share=0.1, method="exact").forward_passes() == 2 + 524_800 - 102 * 103 / 2


@pytest.mark.parametrize(("steps", "share"), list(itertools.product([1, 3, 7, 20], [0.05, 0.1, 0.9])))
def test_any_number_of_steps_keeps_the_asked_share(steps, share):
    network, shard = random_case(n=2)
    result = kept_of(Features(share=share, steps=steps), network, shard)
    assert result.sum(1).tolist() == [{0.05: 1, 0.1: 2, 0.9: 22}[share]] * 2


def test_others_are_shown_the_pixels_in_their_own_colour():
    first, shard = random_case()
    second = Normalized(random_case(seed=1)[0], [0.2, 0.4, 0.6], [0.3, 0.3, 0.3])
    task = Features(share=0.2)
    source, viewer = task.observe([first, second], shard, seed=0).networks
    mask = torch.from_numpy(unpacked(source["kept"], 25)).reshape(-1, 1, 5, 5)
    shown = torch.where(mask, shard.images, torch.tensor([0.2, 0.4, 0.6])[:, None, None])
    expected = second(shown).softmax(-1)[range(6), shard.labels].numpy()
    np.testing.assert_allclose(task.observe_pair(second, shard, source)["lent_confidence"], expected, rtol=1e-6)
    # its own pixels shown to itself are its own observation
    np.testing.assert_array_equal(task.observe_pair(second, shard, viewer)["lent_confidence"], viewer["own_confidence"])


class Stepped(nn.Module):
    """Its outputs are cut off from its inputs."""

    def forward(self, images):
        return images.flatten(1)[:, :3].detach()


def test_networks_without_gradients_are_asked_in_full_only():
    domain = Domain(shape=(1, 4, 4), classes=3)
    assert "method=exact" in Features().unsupported_network_reason(Stepped(), domain)
    assert Features(method="exact").unsupported_network_reason(Stepped(), domain) is None
    assert Features().unsupported_network_reason(small_net(), domain) is None
    shard = batch(torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(1)), [0])
    assert kept_of(Features(share=0.5, method="exact"), Stepped(), shard).sum() == 8


def test_where_it_makes_no_sense():
    assert "no other class" in Features().unsupported_reason(Domain(shape=(1, 8, 8), classes=1))
    assert "one pixel" in Features().unsupported_reason(Domain(shape=(3, 1, 1), classes=2))
    photo = Domain(shape=(3, 224, 224), classes=2)
    assert Features().unsupported_reason(photo) is None
    assert "method=exact" in Features().note(photo)
    assert Features(method="exact").note(photo) is None
    assert "method=gradient" in Features(method="exact").unsupported_reason(photo)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 0.0}, "expected 0 < share < 1, got 0"),
        ({"share": 1.0}, "got 1"),
        ({"steps": 0}, "expected steps >= 1"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Features(**settings)
