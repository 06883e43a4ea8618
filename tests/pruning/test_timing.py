"""Networks of a run are timed side by side, and one program has one time."""

from functools import partial

import pytest
import torch
from torch import nn

import evalsuite
from evalsuite.data import load
from evalsuite.networks.costs.latency import Latency, latencies
from evalsuite.pruning import timing
from evalsuite.pruning.timing import program_of
from pruners import prune
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude

pytestmark = pytest.mark.slow

EXAMPLE = torch.zeros(1, 1, 8, 8)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.Flatten(), nn.Linear(128, 10)).eval()


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture
def timed(monkeypatch):
    """How many networks were timed, call by call; each gets its place as its time."""
    calls: list[int] = []

    def fake(networks, shape, *, batch=1, rounds=12, runs=3, confidence=0.95, seed=0):
        calls.append(len(networks))
        return [Latency(median=k + 1 + len(calls), low=k, high=k + 2, n=rounds) for k in range(len(networks))]

    monkeypatch.setattr(timing, "latencies", fake)
    return calls


def sweep(digits, out, ratios, **more):
    parent = network()
    with torch.no_grad():
        for k, parameter in enumerate(parent.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(k)))
    pruners = (Magnitude(), FilterNorm())
    options = {
        "tasks": ["clean"],
        "examples": 20,
        "device": "cpu",
        "pruner": pruners,
        "accept_parent": True,
    }
    summary = evalsuite.sweep(parent, digits, out=out, ratios=ratios, **{**options, **more}).summary
    return {n["id"]: n["latency_ms"]["median"] for n in summary["networks"]}


def test_masks_make_no_other_program_channels_do() -> None:
    parent = network()
    masked = [prune(parent, Magnitude(), ratio, example=EXAMPLE) for ratio in (0.5, 0.9)]
    narrow = [prune(parent, FilterNorm(), ratio, example=EXAMPLE) for ratio in (0.3, 0.6)]
    programs = [program_of(each) for each in (parent, *masked, *narrow)]
    assert programs[0] == programs[1] == programs[2]
    assert len(set(programs)) == 3
    assert program_of(network().double()) != programs[0]


def test_a_run_has_one_time_a_program(digits, tmp_path, timed) -> None:
    times = sweep(digits, tmp_path, (0.4, 0.8))
    # the parent and its masked networks are one, each narrow one another; single images, then a large batch
    assert timed == [3, 3]
    assert times["magnitude-0-0.4"] == times["magnitude-0-0.8"] == times["parent"]
    assert len({times["parent"], times["filter_norm-0-0.4"], times["filter_norm-0-0.8"]}) == 3


def test_old_times_are_not_compared_with_new_ones(digits, tmp_path, timed) -> None:
    before = sweep(digits, tmp_path, (0.4,))
    assert timed == [2, 2]
    assert sweep(digits, tmp_path, (0.4,), tasks=["clean", "noise/uniform/0.1"], amend=True) == before
    assert timed == [2, 2]  # all were there
    after = sweep(digits, tmp_path, (0.4, 0.8), amend=True)
    assert timed == [2, 2, 3, 3]
    assert all(after[name] != before[name] for name in before)


def test_networks_made_elsewhere_are_timed_together_once(digits, tmp_path, timed, monkeypatch) -> None:
    from evalsuite.inputs.read import Inputs
    from evalsuite.networks.checkpoints.checkpoint import Checkpoint
    from evalsuite.networks.normalized import Normalized
    from evalsuite.pruning.candidates import Candidate, Candidates, register_candidates
    from evalsuite.records.store import opened

    def checkpoint(bare: nn.Module) -> Checkpoint:
        wrapped = Normalized(bare, (0.0,), (1.0,)).eval()
        return Checkpoint(network=wrapped, arch=None, class_count=10, shape=(1, 8, 8))

    parent = network()
    half, narrow = (prune(parent, pruner, 0.5, example=EXAMPLE) for pruner in (Magnitude(), FilterNorm()))
    inputs = Inputs(parent=checkpoint(parent), dataset=digits, device=torch.device("cpu"))
    made = {"half": checkpoint(half), "narrow": checkpoint(narrow)}
    named = {name: Candidate(read=partial(made.get, name)) for name in made}
    with opened(tmp_path, create=True) as store:
        candidates = Candidates(inputs, named)
        family = register_candidates(inputs, candidates, store)
        register_candidates(inputs, candidates, store)
        facts = [store.network(address) for address in family.addresses]
    assert timed == [2, 2]
    assert facts[0].latency_ms == facts[1].latency_ms != facts[2].latency_ms


def test_every_round_times_every_network_once_in_an_order_of_its_own() -> None:
    order: list[int] = []

    class Noting(nn.Module):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            order.append(self.number)
            return x

    result = latencies([Noting(k) for k in range(4)], (1, 2, 2), rounds=8, runs=2)
    assert [each.n for each in result] == [8] * 4
    # three calls in a row: one to warm up, two that count
    rounds = [order[12 * k : 12 * (k + 1) : 3] for k in range(8)]
    assert all(sorted(each) == [0, 1, 2, 3] for each in rounds)
    assert order[:3] == [rounds[0][0]] * 3
    assert len({tuple(each) for each in rounds}) > 1


def test_twins_are_measured_alike_while_a_machine_slows_down(monkeypatch) -> None:
    from evalsuite.networks.costs import latency as module

    clock = iter(range(10**6))
    now = 0.0

    def tick() -> float:
        nonlocal now
        # every call takes a thousandth longer than the one before, as on a machine that grows warm
        now += 1 + next(clock) / 1000
        return now

    monkeypatch.setattr(module.time, "perf_counter", tick)
    first, second = latencies([nn.Identity(), nn.Identity()], (1, 2, 2), rounds=12, runs=3)
    assert first.low <= second.median <= first.high
    alone = [module.latency(nn.Identity(), (1, 2, 2), runs=36, warm_up=0) for _ in range(2)]
    assert alone[0].high < alone[1].low  # one after the other they would differ


def test_order_statistics_are_those_of_rounds(monkeypatch) -> None:
    from evalsuite.networks.costs import latency as module

    # rounds take 1, 2, ..., 9 seconds a run: n = 9 encloses the median by the 2nd and the 8th at 0.961
    ticks = iter([t for k in range(1, 10) for t in (100.0 * k, 100.0 * k + k)])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(ticks))
    (outcome,) = latencies([nn.Identity()], (1, 2, 2), rounds=9, runs=1)
    assert (outcome.low, outcome.median, outcome.high, outcome.n) == (2.0, 5.0, 8.0, 9)
