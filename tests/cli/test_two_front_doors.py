"""The command line and the Python call: one rule for margins and presets, the same verdicts."""

import json
import os

import pytest

from evalsuite import api, pipeline
from evalsuite.config.presets import PRESETS
from evalsuite.config.spec import overridden, resolve
from evalsuite.networks.checkpoints.checkpoint import read

SAME = ("tasks", "measures", "cells", "potential", "averages", "families", "deployable", "complete", "warnings")
OF_NETWORKS = ("id", "digest", "role", "prune_ratio", "flop_reduction", "seed")


class AskedError(Exception):
    """Carries what a front door hands to the pipeline."""


@pytest.fixture
def asked(monkeypatch):
    """What would have been run."""
    seen = []

    def run(_inputs, making, judging, **_more):
        seen.append((making, judging))
        raise AskedError

    for module in (pipeline, api):
        monkeypatch.setattr(module, "run", run)
    return seen


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("options", [{}, {"margin": 0.1}, {"margin": 0.1, "margin_for": {"adversarial": 0.3}}])
def test_every_preset_asks_the_same(evalsuite, checkpoint, lenet, asked, tmp_path, preset, options):
    typed = [f"--margin={options['margin']}"] if options else []
    typed += [f"--margin-for={task}={margin}" for task, margin in options.get("margin_for", {}).items()]
    evalsuite("sweep", "--ckpt", checkpoint, "--preset", preset, *typed, "--out", tmp_path / "a")
    with pytest.raises(AskedError):
        api.sweep(lenet, "digits", out=tmp_path / "b", preset=preset, options=options)
    (making, judging), (by_python, judged_by_python) = asked
    assert judged_by_python == judging
    assert judging.margin_for == options.get("margin_for", {} if options else PRESETS[preset].get("margin_for", {}))
    assert (by_python.ratios, by_python.one_shot, by_python.seeds) == (making.ratios, making.one_shot, making.seeds)
    assert (by_python.recipe is None) == (making.recipe is None)


def test_the_same_results(evalsuite, checkpoint, tmp_path):
    small = ("--ratios", "0.5,0.9", "--examples", "60", "--examples-for", "adversarial=20")
    tasks = "clean,noise/gaussian/0.1,adversarial/linf/0.0078?attack=pgd"
    typed = ("sweep", "--ckpt", checkpoint, "--preset", "quick", *small, "--tasks", tasks, "--margin", "0.1")
    ended = evalsuite(*typed, "--out", tmp_path / "typed")
    assert ended.code == 0, ended.err
    told = [line for line in ended.err.splitlines() if line.startswith("margin:")]
    rule = "margin: 0.1 for every task, as given; the preset quick has adversarial=0.02"
    assert told == [f"{rule}, which --margin-for adversarial=0.02 keeps"]
    api.sweep(
        read(checkpoint).network,
        "digits",
        out=tmp_path / "called",
        preset="quick",
        ratios=(0.5, 0.9),
        tasks=tasks.split(","),
        options={"examples": 60, "examples_for": {"adversarial": 20}, "margin": 0.1},
    )
    by_hand, by_python = (json.loads((tmp_path / run / "results.json").read_text()) for run in ("typed", "called"))
    assert {task["margin"] for task in by_hand["tasks"]} == {0.1}
    for task in (*by_python["tasks"], *by_hand["tasks"]):
        del task["seconds"]
    for key in SAME:
        assert by_python[key] == by_hand[key], key
    for one, other in zip(by_python["networks"], by_hand["networks"], strict=True):
        assert {key: one[key] for key in OF_NETWORKS} == {key: other[key] for key in OF_NETWORKS}


@pytest.mark.parametrize(
    ("given", "margins", "told"),
    [
        ({}, {"adversarial": 0.02}, False),
        ({"margin": 0.1}, {}, True),
        ({"margin": 0.1, "tasks": ("clean",)}, {}, False),  # of no task that is asked
        ({"margin": 0.1, "margin_for": {"adversarial": 0.02}}, {"adversarial": 0.02}, False),
        ({"margin": 0.1, "margin_for": {}}, {}, False),  # as a run file spells it
        ({"margin": 0.1, "preset": "paper"}, {}, False),
    ],
)
def test_a_margin_by_hand_is_that_of_every_task(given, margins, told):
    spec = resolve({"ckpt": "m.safetensors", **given})
    assert spec.margin_for == margins
    assert (overridden(given, spec) is not None) == told


def test_evaluate_twice_does_nothing_the_second_time(evalsuite, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(checkpoint.read_bytes())
    judge = ("--tasks", "clean", "--examples", "40")
    typed = ("evaluate", "--parent", checkpoint, "--candidates", "a.safetensors", *judge, "--out", "run")
    first = evalsuite(*typed, "--json")
    assert first.code == 0, first.err
    # the same files by other ways are other evidence, or none
    monkeypatch.setattr("evalsuite.pipeline.evaluate", None)
    again = evalsuite(*typed, "--json")
    assert "nothing to do" in again.err
    assert (again.code, json.loads(again.out)) == (first.code, json.loads(first.out))
    for more in (
        ("--seed", "1"),
        ("--margin", "0.2"),
        ("--shipped", "a=b.safetensors"),
        ("--candidates", "b.safetensors"),
        ("--separate", "b.safetensors"),
    ):
        changed = evalsuite(*typed, *more)
        assert "nothing to do" not in changed.err, more
        assert changed.code == 5, changed.err  # it went on to what was taken away
    sweep = ("sweep", "--ckpt", checkpoint, "--ratios", "0.5", *judge, "--out", "run")
    assert "nothing to do" not in evalsuite(*sweep).err


def test_an_exchanged_candidate_is_not_finished_before(evalsuite, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    candidate = tmp_path / "a.safetensors"
    candidate.write_bytes(checkpoint.read_bytes())
    typed = ("evaluate", "--parent", checkpoint, "--candidates", candidate, "--tasks", "clean", "--examples", "40")
    assert evalsuite(*typed, "--out", "run").code == 0
    before = candidate.stat()
    pruned = evalsuite("prune", "--ckpt", checkpoint, "--ratios", "0.5", "--out", "made")
    assert pruned.code == 0, pruned.err
    candidate.write_bytes((tmp_path / "made" / "networks" / "magnitude-0-0.5.safetensors").read_bytes())
    os.utime(candidate, ns=(before.st_atime_ns, before.st_mtime_ns))
    changed = evalsuite(*typed, "--out", "run")
    assert "nothing to do" not in changed.err
    assert changed.code == 2
    assert "differs in candidates" in changed.err
