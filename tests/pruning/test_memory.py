"""A family larger than the budget is made, timed and evaluated with few networks in memory, and comes to the same."""

import gc
import weakref

import pytest
import torch
from torch import nn

import evalsuite
from evalsuite import api
from evalsuite.data import load
from evalsuite.networks.architectures.by_name import build
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, write
from evalsuite.networks.normalized import Normalized
from evalsuite.pruning import candidates, network_files
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_collections")]

RATIOS = (0.3, 0.5, 0.7)
OPTIONS = {
    "tasks": ["clean", "features/0.1?steps=2", "ood/blobs?knn=2&bank=40"],
    "examples": 20,
    "accept_parent": True,
    "device": "cpu",
}


def network() -> nn.Module:
    made = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.Flatten(), nn.Linear(128, 10)).eval()
    with torch.no_grad():
        for k, parameter in enumerate(made.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(k)) / 5)
    return made


class Reads:
    """Counts what another function reads, and the most of it that was alive whenever more was read."""

    def __init__(self, read):
        self.count, self.most = 0, 0
        self._read, self._alive = read, weakref.WeakSet()

    def __call__(self, *arguments):
        gc.collect()
        result = self._read(*arguments)
        self._alive.add(result.network if isinstance(result, Checkpoint) else result)
        self.count, self.most = self.count + 1, max(self.most, len(self._alive))
        return result


def compared(results) -> dict[str, object]:
    """Results without times."""
    facts = results.model_dump()
    networks = [{k: v for k, v in net.items() if not k.endswith("_ms")} for net in facts["networks"]]
    return {key: facts[key] for key in ("cells", "potential", "features", "deployable")} | {"networks": networks}


def test_a_sweep_holds_no_more_networks_than_the_budget(tmp_path, monkeypatch) -> None:
    digits, options = load("digits"), {**OPTIONS, "pruner": FilterNorm(), "ratios": (0.2, 0.4, 0.6, 0.8)}
    outcome, restore = [], network_files.restore
    for budget, most in ((None, 4), (2, 3)):  # the one that has just been written comes on top
        reads = Reads(restore)
        monkeypatch.setattr(network_files, "restore", reads)
        monkeypatch.setattr(network_files, "affordable", lambda *_, budget=budget: budget)
        outcome.append(evalsuite.sweep(network(), digits, out=tmp_path / f"{budget}", **options).results)
        assert reads.most == most
        assert (reads.count == 4) == (budget is None)
    assert compared(outcome[0]) == compared(outcome[1])


def test_candidates_are_read_when_they_are_needed(tmp_path, monkeypatch) -> None:
    bare = build("lenet5", classes=10, channels=1, image_size=8, seed=0)
    parent = tmp_path / "parent.safetensors"
    wrapped = Normalized(bare, (0.3,), (0.4,)).eval()
    write(parent, Checkpoint(network=wrapped, arch="lenet5", class_count=10, shape=(1, 8, 8), data="digits"))
    run = evalsuite.sweep(parent, out=tmp_path / "sweep", pruner=Magnitude(), ratios=RATIOS, **OPTIONS)
    files = sorted((run.folder / "networks").glob("*.safetensors"))
    assert len(files) == 3
    actual, read = [], api.build_candidate
    for budget, most in ((None, 3), (1, 2)):
        reads = Reads(read)
        monkeypatch.setattr(api, "build_candidate", reads)
        monkeypatch.setattr(candidates, "affordable", lambda *_, budget=budget: budget)
        actual.append(evalsuite.evaluate(parent, files, out=tmp_path / f"{budget}", **OPTIONS).results)
        assert reads.most == most
        assert (reads.count == 3) == (budget is None)
    assert compared(actual[0]) == compared(actual[1])
