"""Every task observes a family on the device as it does on the CPU."""

from dataclasses import replace

import numpy as np
import pytest

from evalsuite.extend import ChecksNetworks, ComparesToParent, Domain, OwnExamples, Pairwise, Task
from evalsuite.parts.names import part_kind
from evalsuite.parts.registry import find, names
from evalsuite.tasks._abilities import bank_size
from evalsuite.tasks._names import expand

PACKAGE = "evalsuite.tasks"
SHORTER = {"certified": {"n": 200, "n0": 20, "alpha": 0.01}, "features": {"steps": 4}}
"""Settings that only take time."""
FEW = {"features/0.1?method=exact": 4, "adversarial/l1/12?attack=square": 10}
"""Examples, where one takes long."""
DEAR = {"adversarial/linf/0.0314"}
"""Left out: AutoAttack has a test of its own in this folder."""
MOVED = {"adversarial", "features"}
"""Pictures show what was chosen for the network, not what was drawn."""


def requested():
    usage = {text for name in names(PACKAGE) for text in find(PACKAGE, name, Task).usage} - DEAR
    # sets on disk are read on the CPU whatever the device is: one layout stands for all
    return sorted(text for text in usage if "at=" not in text or text.startswith("shift/npz"))


@pytest.fixture(params=requested())
def text(request):
    return request.param


@pytest.fixture
def task(text, tmp_path, digits):
    path, test = tmp_path / "shifted.npz", digits.test
    np.savez(path, x_test=test.pixels(range(40)).numpy(), y_test=test.labels[:40].numpy(), classes=digits.classes)
    part = expand([text.replace("FILE", str(path))])[0]
    return replace(part, **SHORTER.get(part_kind(part), {}))


def observe(task, family):
    """As the engine asks: beside the networks' banks, where the task has them."""
    if not bank_size(task):
        return task.observe(family.networks, family.shard, seed=3)
    banks = [task.fit_bank(network, family.training) for network in family.networks]
    assert all(rows.device.type == family.device.type for rows in banks)
    return task.observe_with_bank(family.networks, family.shard, banks, seed=3)


def test_observations_are_those_of_the_cpu(task, text, family, there, digits, same):
    shard = task.examples(digits).batch(0, 24) if isinstance(task, OwnExamples) else family.shard
    family, there = (each.showing(shard, FEW.get(text, 24)) for each in (family, there))
    here, observed = observe(task, family), observe(task, there)
    for ours, theirs in zip(here.networks, observed.networks, strict=True):
        same(ours, theirs)
    if here.pictures is not None and part_kind(task) not in MOVED:
        # random draws are made from keys, so they are the same up to rounding: a level of 255 in few pixels
        gap = (here.pictures - observed.pictures.cpu()).abs()
        assert float(gap.max()) < 1.01 / 255
        assert float((gap > 1e-4).float().mean()) < 1e-2
    if isinstance(task, ComparesToParent):
        ours, theirs = (task.compare(each.networks[1], each.networks[0]) for each in (here, observed))
        assert ours
        same(ours, theirs)
    if isinstance(task, Pairwise):
        ours, theirs = (task.observe_pair(each.networks[1], each.shard, here.networks[0]) for each in (family, there))
        assert ours
        same(ours, theirs)


def test_whether_a_network_is_refused_can_be_told_on_any_device(task, there, digits):
    domain = Domain(shape=digits.shape, classes=10, training=40)
    assert task.unsupported_reason(domain) is None
    if isinstance(task, ChecksNetworks):
        assert task.unsupported_network_reason(there.networks[1], domain) is None
