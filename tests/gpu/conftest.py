"""A small family of trained networks and its examples, beside the same on the device that is tested.

Everything is made on the CPU and moved, so that both sides start from the same bits.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from evalsuite.data import Batch, Dataset, Examples, load
from evalsuite.problems import Column, Observations
from evalsuite.training import named, train
from neuralnets.precision import full_float32
from pruners import Context, keep_for, remaining
from pruners.magnitude import Magnitude

CPU = torch.device("cpu")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is asked of a device."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(autouse=True)
def _full_float32() -> Iterator[None]:
    """As engines compute."""
    with full_float32():
        yield


@dataclass(frozen=True, kw_only=True)
class Family:
    """A parent and a pruned child, and examples: all on one device."""

    networks: tuple[nn.Module, nn.Module]
    shard: Batch
    training: Batch
    device: torch.device

    def on(self, device: torch.device) -> "Family":
        there = (deepcopy(self.networks[0]).to(device), deepcopy(self.networks[1]).to(device))
        return Family(networks=there, shard=self.shard.to(device), training=self.training.to(device), device=device)

    def showing(self, shard: Batch, n: int) -> "Family":
        """The same networks, shown the first n examples of `shard` on their device."""
        cut = slice(0, n)
        few = replace(shard, images=shard.images[cut], labels=shard.labels[cut], ids=shard.ids[cut])
        return replace(self, shard=few.to(self.device))


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """Handwritten digits of 16 × 16 pixels: corruptions refuse smaller ones."""

    def larger(examples: Examples) -> Examples:
        images = nn.functional.interpolate(examples.pixels(range(len(examples))), (16, 16), mode="bilinear")
        return Examples.from_labels(images, examples.labels)

    small = load("digits")
    return Dataset(
        name="digits",
        classes=small.classes,
        shape=(1, 16, 16),
        train=larger(small.train),
        test=larger(small.test),
        mean=(0.3,),
        std=(0.35,),
    )


@pytest.fixture(scope="session")
def untrained() -> nn.Module:
    """For these digits, with weights that a seed gives."""
    network = nn.Sequential(
        nn.Conv2d(1, 12, 3, 2, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, 2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(96, 10),
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, (2 / parameter[0].numel()) ** 0.5, generator=generator)
    return network


@pytest.fixture(scope="session")
def family(untrained: nn.Module, digits: Dataset) -> Family:
    """On the CPU."""
    recipe = named("standard?epochs=4", architecture="", data="digits")
    parent = train(untrained, digits.train, recipe, seed=0, device=CPU)
    keep = keep_for(remaining(parent), 0.7)
    child = Magnitude()(parent, keep=keep, context=Context(example=torch.zeros(1, *digits.shape)))
    for network in (parent, child):
        network.eval().requires_grad_(requires_grad=False)
    return Family(
        networks=(parent, child), shard=digits.test.batch(0, 24), training=digits.train.batch(0, 40), device=CPU
    )


@pytest.fixture(scope="session")
def there(family: Family, device: torch.device) -> Family:
    """On the device that is tested."""
    return family.on(device)


@pytest.fixture(scope="session")
def same() -> Callable[[Observations, Observations], None]:
    """Compares columns of observations made on two devices.

    Sums in another order differ in the last digits of float32: real numbers agree to about three of them, and classes,
    votes and pixels chosen turn over only where two were as good as equal. One example in ten may be such a one.
    """

    def compare(here: Observations, there: Observations) -> None:
        assert here.keys() == there.keys()
        agree = {column: _agreeing(column, values, there[column]) for column, values in here.items()}
        every = np.logical_and.reduce(list(agree.values()))
        apart = {column: (here[column][~rows], there[column][~rows]) for column, rows in agree.items()}
        assert (~every).sum() <= max(1, len(every) // 10), apart

    return compare


def _agreeing(column: str, here: Column, there: Column) -> Column:
    """(n,), bool: whether the examples say the same."""
    assert here.dtype == there.dtype, column
    assert here.shape == there.shape, column
    ours, theirs = (values.reshape(len(values), -1) for values in (here, there))
    if column == "kept":  # packed bits, one a pixel
        return (np.unpackbits(ours, axis=1) == np.unpackbits(theirs, axis=1)).mean(1) > 0.95
    if np.issubdtype(here.dtype, np.floating):
        return np.isclose(theirs, ours, rtol=1e-3, atol=1e-4).all(1)
    return (ours == theirs).all(1)
