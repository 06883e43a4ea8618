"""What every task keeps to: an example's observations depend on nothing but the example, the network and the seed."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from evalsuite.data import Batch
from evalsuite.extend import ChecksNetworks, ComparesToParent, Domain, Pairwise, Task
from evalsuite.parts.names import part_kind
from evalsuite.parts.registry import find, names
from evalsuite.tasks._abilities import bank_size
from evalsuite.tasks._names import expand, parse

pytestmark = pytest.mark.slow

DOMAINS = {
    "grey": Domain(shape=(1, 28, 28), classes=10, training=30),
    "two": Domain(shape=(1, 28, 28), classes=2, training=30),
    "colour": Domain(shape=(3, 32, 32), classes=10, training=30),
    "thousand": Domain(shape=(3, 32, 32), classes=1000, training=30),
    "photo": Domain(shape=(3, 224, 224), classes=2, training=30),
}
QUICK = (
    *("clean", "noise/uniform/0.1", "noise/gaussian/0.2?draws=2", "ood/noise", "ood/shuffled", "ood/blobs"),
    "ood/blobs?knn=2",
    *("corruption/fog/3", "corruption/gaussian_noise/5", "corruption/glass_blur/2"),
    *("adversarial/linf/0.05?attack=pgd", "adversarial/l2/0.5?attack=pgd"),
    *("certified/l2/0.1?n=40&n0=10&sigma=0.25&alpha=0.01", "bounds/linf/0.01", "bounds/l2/0.1?method=crown-ibp"),
    "features/0.1?steps=3",
    "saliency/0.1",
)
"""Ways of asking that take little time; tasks that are not among them are asked as their `usage` has it."""
OF_DISK = {"shift"}
"""Asked about files, with tests of their own."""
KINDS = {part_kind(parse(name)).replace("-", "_") for name in QUICK} | OF_DISK
EXAMPLES = (
    *QUICK,
    *(
        usage
        for name in names("evalsuite.tasks")
        if name not in KINDS
        for usage in find("evalsuite.tasks", name, Task).usage
    ),
)


def network(domain, seed):
    generator = torch.Generator().manual_seed(seed)
    channels = domain.shape[0]
    made = nn.Sequential(
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * channels, 16), nn.ReLU(), nn.Linear(16, domain.classes)
    )
    with torch.no_grad():
        for parameter in made.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 16
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (6 / fan_in) ** 0.5)
    return made.eval().requires_grad_(requires_grad=False)


def batch(domain, n, seed=0):
    """Images of smooth patches; labels leave the last class out."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, domain.shape[0], 4, 4, generator=generator)
    images = nn.functional.interpolate(coarse, domain.shape[1:], mode="bilinear").clamp(0, 1)
    labels = torch.randint(domain.classes - 1, (n,), generator=generator)
    return Batch(images=images, labels=labels, ids=tuple(f"{seed}{number:04x}" for number in range(n)))


def part(whole, start, stop):
    return Batch(images=whole.images[start:stop], labels=whole.labels[start:stop], ids=whole.ids[start:stop])


def requested(task, networks, shard, seed):
    """As the engine asks: beside the networks' banks, where the task has them."""
    if not bank_size(task):
        return task.observe(networks, shard, seed=seed)
    channels, *sides = shard.images.shape[1:]
    training = batch(Domain(shape=(channels, *sides), classes=2), 5, seed=9)
    banks = [torch.cat([task.fit_bank(each, part(training, k, k + 2)) for k in (0, 2, 4)]) for each in networks]
    assert all(len(rows) == 5 for rows in banks)
    return task.observe_with_bank(networks, shard, banks, seed=seed)


def same(first, second):
    assert first.keys() == second.keys()
    for column, values in first.items():
        # sums of floating-point numbers depend on how many images go through a layer at once
        np.testing.assert_allclose(values, second[column], rtol=1e-4, atol=1e-5, err_msg=column)


@pytest.fixture(params=EXAMPLES)
def task(request):
    return parse(request.param)


def test_all_are_asked():
    assert {part_kind(parse(name)).replace("-", "_") for name in EXAMPLES} | OF_DISK == set(names("evalsuite.tasks"))


@pytest.mark.parametrize("name", names("evalsuite.tasks"))
def test_ways_of_asking_can_be_typed(name):
    usage = find("evalsuite.tasks", name, Task).usage
    assert usage
    for text in usage:
        assert {part_kind(task).replace("-", "_") for task in expand([text])} == {name}


@pytest.mark.parametrize("where", list(DOMAINS))
def test_every_domain(task, where):
    domain = DOMAINS[where]
    assert task.unsupported_reason(domain) is None
    shard = batch(domain, 2)
    images, labels = shard.images.clone(), shard.labels.clone()
    networks = [network(domain, 0), network(domain, 1)]
    observed = requested(task, networks, shard, seed=0)
    assert torch.equal(shard.images, images)
    assert torch.equal(shard.labels, labels)
    for each, result in zip(networks, observed.networks, strict=True):
        assert all(parameter.grad is None for parameter in each.parameters())
        assert not each.training
        for column, values in result.items():
            assert len(values) == 2, column
            assert np.isfinite(values).all(), column
        if "prediction" in result:
            assert ((result["prediction"] >= -1) & (result["prediction"] < domain.classes)).all()
    if observed.pictures is not None:
        assert observed.pictures.shape[1:] == domain.shape
        assert 0 <= observed.pictures.min() <= observed.pictures.max() <= 1
    for images in (None, domain):
        assert task.forward_passes(images) >= 1
        assert math.isfinite(task.forward_passes(images))


def test_an_example_knows_nothing_of_its_batch(task):
    domain = DOMAINS["grey"]
    net, whole = network(domain, 0), batch(domain, 5)
    (together,) = requested(task, [net], whole, seed=3).networks
    for start, stop in ((0, 1), (1, 4), (4, 5)):
        (alone,) = requested(task, [net], part(whole, start, stop), seed=3).networks
        same(alone, {column: values[start:stop] for column, values in together.items()})


def test_a_network_knows_nothing_of_the_others(task):
    domain = DOMAINS["grey"]
    first, second, shard = network(domain, 0), network(domain, 1), batch(domain, 3)
    forth = requested(task, [first, second], shard, seed=3).networks
    back = requested(task, [second, first], shard, seed=3).networks
    (alone,) = requested(task, [first], shard, seed=3).networks
    same(forth[0], back[1])
    same(forth[1], back[0])
    same(forth[0], alone)


def test_one_class_is_too_few_for_what_asks_for_another(task):
    alone = Domain(shape=(1, 8, 8), classes=1)
    if part_kind(task) in {"adversarial", "bounds"}:
        assert task.unsupported_reason(alone)


def able(ability):
    """The names of tasks that have an ability; there is one at least."""
    outcome = [name for name in EXAMPLES if isinstance(parse(name), ability)]
    assert outcome
    return outcome


@pytest.mark.parametrize("where", list(DOMAINS))
@pytest.mark.parametrize("name", able(ChecksNetworks))
def test_networks_of_layers_are_supported(name, where):
    domain = DOMAINS[where]
    assert parse(name).unsupported_network_reason(network(domain, 0), domain) is None


@pytest.mark.parametrize("name", able(ComparesToParent))
def test_comparisons_with_the_parent_are_of_one_example_each(name):
    task, domain = parse(name), DOMAINS["colour"]
    parent, child = task.observe([network(domain, 0), network(domain, 1)], batch(domain, 5), seed=3).networks
    together = task.compare(child, parent)
    assert together
    assert not together.keys() & child.keys()
    for start, stop in ((0, 2), (2, 5)):
        ours, theirs = ({column: v[start:stop] for column, v in subject.items()} for subject in (child, parent))
        same(task.compare(ours, theirs), {column: values[start:stop] for column, values in together.items()})


@pytest.mark.parametrize("name", able(Pairwise))
def test_what_networks_are_shown_of_each_other_is_no_first_pass(name):
    task, domain = parse(name), DOMAINS["colour"]
    assert not isinstance(task, ComparesToParent)  # both would be stored at the same address
    first, second, whole = network(domain, 0), network(domain, 1), batch(domain, 5)
    source, second_alone = task.observe([first, second], whole, seed=3).networks
    actual = task.observe_pair(second, whole, source)
    assert actual
    assert not actual.keys() & second_alone.keys()
    for start, stop in ((0, 2), (2, 5)):
        slices = {column: values[start:stop] for column, values in source.items()}
        alone = task.observe_pair(second, part(whole, start, stop), slices)
        same(alone, {column: values[start:stop] for column, values in actual.items()})
