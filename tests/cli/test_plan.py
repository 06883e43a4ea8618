"""What a plan says a sweep will take is about what it takes."""

import json

import pytest
import torch

from evalsuite.config.settings import PruningSettings
from evalsuite.pruning.controls import total_epochs
from evalsuite.training import named
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude

pytestmark = pytest.mark.slow

OPTIONS = (
    *("--ratios", "0.3,0.6,0.8,0.9", "--retrain", "standard", "--epochs", "3", "--schedule", "cascade"),
    *("--tasks", "clean,noise/uniform/0.1,corruption/fog/1-3,adversarial/linf/0.03?attack=pgd"),
    *("--examples", "400", "--margin", "0.3"),
)


@pytest.fixture
def planned(evalsuite, checkpoint):
    def document(*options):
        ended = evalsuite("plan", "--ckpt", checkpoint, *options, "--json")
        assert ended.code == 0, ended.err
        return json.loads(ended.out)

    return document


@pytest.mark.timeout(900)
def test_the_estimate_is_within_a_factor_of_three(evalsuite, planned, checkpoint, tmp_path):
    estimate = planned(*OPTIONS)["estimate"]
    ended = evalsuite("sweep", "--ckpt", checkpoint, *OPTIONS, "--out", tmp_path / "run", "--json")
    assert ended.code == 0, ended.err
    taken = json.loads(ended.out)["run"]["seconds"]
    assert 1 / 3 < estimate["seconds"] / taken < 3, (estimate, taken)


def test_parts_add_up_and_are_sorted(planned):
    result = planned(*OPTIONS)
    estimate = result["estimate"]
    parts = estimate["parts"]
    assert {part["what"] for part in parts} == {
        *(row["task"] for row in result["tasks"]),
        *("retraining", "measuring networks"),
    }
    assert sum(part["seconds"] for part in parts) == pytest.approx(estimate["seconds"])
    assert sum(part["share"] for part in parts) == pytest.approx(1)
    assert [part["seconds"] for part in parts] == sorted((part["seconds"] for part in parts), reverse=True)
    assert all(part["seconds"] > 0 and part["examples"] > 0 for part in parts)
    # a process that has torch loaded holds more than 100 MB
    assert estimate["peak_megabytes"] > 100
    assert estimate["device"] == f"CPU, {torch.get_num_threads()} threads"
    assert result["images"] == [1, 8, 8]
    assert result["normalisation"]["mean"] == pytest.approx([0.3])


def test_twice_the_work_takes_twice_as_long(planned):
    def seconds(*options, part):
        parts = planned("--retrain", "standard", "--tasks", "clean", *options)["estimate"]["parts"]
        return next(row["seconds"] for row in parts if row["what"] == part)

    few = seconds("--ratios", "0.5", "--epochs", 1, part="retraining")
    many = seconds("--ratios", "0.2,0.4,0.6,0.8", "--epochs", 25, part="retraining")
    assert 20 < many / few < 500  # exactly 100 times as many steps


def test_what_a_dear_task_takes_is_counted(planned):
    task = "certified/l2/0.1?sigma=0.1&n=1000000"
    (row,) = (r for r in planned("--tasks", task, "--ratios", "0.5")["estimate"]["parts"] if r["what"].startswith("c"))
    assert row["basis"] == "counted"
    assert row["megabytes"] is None
    assert row["seconds"] > 60


def test_without_times(evalsuite, planned, checkpoint):
    assert planned(*OPTIONS, "--no-time")["estimate"] is None
    ended = evalsuite("plan", "--ckpt", checkpoint, *OPTIONS, "--no-time")
    assert "smallest drop" in ended.out
    assert "what costs most" not in ended.out
    # nothing is timed, and what the margin replaces is said
    (line,) = ended.err.splitlines()
    assert line.startswith("margin: 0.3 for every task, as given")


def test_for_people(evalsuite, checkpoint):
    ended = evalsuite("plan", "--ckpt", checkpoint, *OPTIONS, "--threads", torch.get_num_threads())
    assert ended.code == 0, ended.err
    for piece in (
        "images: 1 x 8 x 8",
        "mean 0.3, std 0.4",
        "what costs most",
        "estimates",
        "not counted",
        "retraining",
    ):
        assert piece in ended.out, piece
    assert "█" in ended.out
    assert "Timing" in ended.err


def test_epochs_are_counted_as_they_are_trained():
    """By hand, for two ratios: what is retrained, and what stands beside."""
    recipe = named("standard", architecture="", data="")
    short, full = recipe.__class__(epochs=2), recipe.__class__(epochs=10)

    def epochs(*controls, **changes):
        pruners = changes.pop("pruners", (Magnitude(),))
        return total_epochs(
            PruningSettings(pruners=pruners, ratios=(0.5, 0.8), recipe=short, full=full, controls=controls, **changes)
        )

    assert epochs() == 4
    assert epochs(seeds=3, pruners=(Magnitude(), FilterNorm())) == 24
    assert epochs("dense") == 4 + 4  # retrained once a ratio
    assert epochs("dense", one_shot=True) == 4 + 2
    assert epochs("random") == 4 + 2 + 4  # as long as the network of the first ratio, and that of the second
    assert epochs("scratch") == 4 + 10 + 10
    assert epochs("scratch-budget") == 4 + 20 + 20  # at most
    assert epochs("copycat") == 4  # of channels only
    assert total_epochs(PruningSettings(pruners=(Magnitude(),), ratios=(0.5, 0.8))) == 2
