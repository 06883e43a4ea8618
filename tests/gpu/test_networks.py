"""Networks on the device: what they give, who they are, and what is counted and timed."""

from copy import deepcopy

import pytest
import torch

from evalsuite.networks.architectures.by_name import BUILT_IN, build
from evalsuite.networks.costs.cost import cost
from evalsuite.networks.costs.latency import latency
from evalsuite.networks.costs.memory import peak_megabytes
from evalsuite.networks.digest import network_digest
from evalsuite.networks.normalized import Normalized

SHAPE = (3, 32, 32)


@pytest.fixture(params=list(BUILT_IN))
def sides(request, device):
    """The same network on the CPU and on the device."""
    classes = 3 if request.param == "espcn" else 10  # it gives images
    bare = build(request.param, classes=classes, channels=3, image_size=32, seed=1)
    here = Normalized(bare, (0.4, 0.5, 0.6), (0.2, 0.3, 0.2)).eval()
    return here, deepcopy(here).to(device)


def test_outputs_digests_and_counts_are_those_of_the_cpu(sides, device):
    here, there = sides
    images = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, theirs = here(images), there(images.to(device)).cpu()
    # up to a hundred layers of sums in another order
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4 * float(ours.abs().max()))
    assert network_digest(there, SHAPE) == network_digest(here, SHAPE)
    assert cost(there, SHAPE) == cost(here, SHAPE)


def test_latency_and_memory_are_measured(sides):
    here, there = sides
    took = latency(there, SHAPE, runs=6, warm_up=1)
    assert 0 < took.low <= took.median <= took.high
    if there.mean.device.type == "pretended":
        return  # its views have storages of their own
    # the same tensors are handed on; a kernel may keep a little beside them
    assert peak_megabytes(there, SHAPE) == pytest.approx(peak_megabytes(here, SHAPE), rel=0.1)
