"""Every measure reads observations that were made on the device, and reads off them what it reads off the CPU's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from evalsuite.data import Examples
from evalsuite.extend import Annotations, ComparesToParent, Measure, Metric, Pairwise, Stored
from evalsuite.parts.names import parse_part
from evalsuite.parts.registry import names
from evalsuite.problems.regression import Regression
from evalsuite.problems.segmentation import Segmentation
from evalsuite.problems.super_resolution import SuperResolution
from evalsuite.statistics.bootstrap import compare_sampled
from evalsuite.statistics.compare import compare
from evalsuite.tasks._names import parse as task_called

PACKAGE = "evalsuite.measures"
MEASURES = (
    *("clean", "noise/gaussian/0.2?draws=2", "ood/shuffled", "certified/l2/0.1?n=40&n0=10&alpha=0.01"),
    *("bounds/linf/0.004?method=interval", "features/0.1?steps=3", "saliency/0.1"),
)
"""Between them they write all columns that measures of classification read."""
SIDE = 16


def photos(n, seed):
    coarse = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear")


def other_problem(kind):
    """Examples and a network, whose weights depend on the seed, for what is no classification."""
    images = photos(24, 1)
    means = torch.stack([images.mean((1, 2, 3)), images.amax((1, 2, 3))], 1)
    examples, head = {
        "segmentation": (Examples.from_targets(Segmentation(), images, images.argmax(1)), [nn.Conv2d(8, 3, 1)]),
        "super_resolution": (
            Examples.from_targets(SuperResolution(factor=2), nn.functional.avg_pool2d(images, 2), images),
            [nn.Conv2d(8, 12, 1), nn.PixelShuffle(2)],
        ),
        "regression": (
            Examples.from_targets(Regression(scale=(1.0, 1.0)), images, means),
            [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)],
        ),
    }[kind]

    def network(seed):
        made = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), *head)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5)
        return made.eval()

    return examples.batch(0, 24), network


def stored(task, networks, shard):
    """(parent, child) as the store holds them after both passes."""
    parent, child = task.observe(networks, shard, seed=1).networks

    def beside_parent(network, columns):
        versus_parent = task.compare(columns, parent) if isinstance(task, ComparesToParent) else {}
        pairwise = task.observe_pair(network, shard, parent) if isinstance(task, Pairwise) else {}
        return {**versus_parent, **pairwise}

    return tuple(
        Stored(columns=columns, to_parent=beside_parent(network, columns))
        for network, columns in zip(networks, (parent, child), strict=True)
    )


@pytest.fixture(scope="module")
def observed(family, there):
    """By problem and task: (parent, child) as the CPU and as the device saw them."""
    result = {}
    for text in MEASURES:
        task = task_called(text)
        result["classification", text] = tuple(stored(task, each.networks, each.shard) for each in (family, there))
    for kind in set(names("evalsuite.problems")) - {"classification"}:
        shard, network = other_problem(kind)
        sides = []
        for device in (family.device, there.device):
            networks = [network(seed).to(device) for seed in (0, 1)]
            sides.append(stored(task_called("clean"), networks, shard.to(device)))
        result[kind, "clean"] = tuple(sides)
    return result


def read(part, sides, expected):
    parent, child = sides
    figures = part(child, parent, expected, {"radius": 0.1})
    if isinstance(part, Measure):
        return compare(figures, margin=0.1, confidence=0.95)
    return compare_sampled(figures, margin=0.1, confidence=0.95, top=1.0 if part.unit == "share" else np.inf)


@pytest.mark.parametrize("name", names(PACKAGE))
def test_it_reads_the_same_figure(name, observed, family):
    part = parse_part(PACKAGE, name, Metric)
    labels = family.shard.labels.numpy()
    annotations = Annotations(labels=labels, slices={"even": labels % 2})
    requested = {
        where: sides
        for where, sides in observed.items()
        if set(part.columns()) <= {*sides[0][1].columns, *sides[0][1].to_parent}
    }
    assert requested, f"no task of this test writes {part.columns()}"
    for (kind, _), (here, there) in requested.items():
        facts = annotations if kind == "classification" else replace(annotations, labels=np.zeros_like(labels))
        ours, theirs = read(part, here, facts), read(part, there, facts)
        assert ours.n == theirs.n == len(labels)
        # an example in which two classes were as good as equal may turn over
        assert theirs.loss == pytest.approx(ours.loss, abs=1.01 / len(labels))
        assert theirs.low <= theirs.loss <= theirs.high
