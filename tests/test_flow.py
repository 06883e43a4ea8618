"""The whole way on a small real problem: load, prune, evaluate, decide, report - and again, with nothing to do."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from torch import nn

import evalsuite
from evalsuite.api import sweep
from evalsuite.config.settings import EvaluationSettings
from evalsuite.data import load
from evalsuite.errors import UsageError
from evalsuite.tasks.certified import Certified
from evalsuite.tasks.clean import Clean
from evalsuite.tasks.corruption import Corruption
from evalsuite.tasks.features import Features
from evalsuite.tasks.noise import Noise
from evalsuite.training.standard import Standard
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude

pytestmark = pytest.mark.slow

TASKS = (
    Clean(),
    Noise(level=0.2),
    Corruption(corruption="contrast", severity=3),
    Corruption(corruption="saturate", severity=3),
    Certified(sigma=0.1, radius=0.1, n0=20, n=100),
    Features(steps=3),
)
JUDGING = EvaluationSettings(tasks=TASKS, margin=0.05, examples=150, examples_for={"certified": 10, "features": 20})


def timeless(value):
    if isinstance(value, dict):
        # `results` is the digest of results with their times
        return {k: timeless(v) for k, v in value.items() if k not in {"seconds", "created", "results"}}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def network(seed=0):
    with torch.random.fork_rng():
        torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)
        ).eval()


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def trained(digits):
    from evalsuite.training import train

    return train(network(), digits.train, Standard(epochs=4, shift=0), seed=0, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def result(digits, trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return sweep(
        trained,
        digits,
        out=out,
        pruner=(Magnitude(), FilterNorm()),
        ratios=(0.5, 0.9),
        retrain=Standard(epochs=1, shift=0),
        evaluation_settings=JUDGING,
    )


def test_a_finished_run_says_all_the_contract_names(result):
    outcome = json.loads((result.folder / "results.json").read_text())
    assert timeless(outcome) == timeless(json.loads(json.dumps(result.summary)))
    assert outcome["schema"] == "evalsuite-results/1"
    assert [n["id"] for n in outcome["networks"]] == [
        "parent",
        "magnitude-0-0.5",
        "magnitude-0-0.9",
        "filter_norm-0-0.5",
        "filter_norm-0-0.9",
    ]
    assert {f["id"] for f in outcome["families"]} == {"magnitude-0", "filter_norm-0"}
    assert outcome["complete"] is True
    assert (result.folder / "report.html").stat().st_size > 10_000
    # two families at 95 % together: each at 97.5 %
    assert outcome["run"]["confidence_each"] == pytest.approx(0.975)
    # the run took at least as long as what was measured of its tasks
    assert outcome["run"]["seconds"] >= sum(task["seconds"] for task in outcome["tasks"]) > 0


def test_ratios_are_measured_and_channels_are_gone(result):
    networks = {n["id"]: n for n in result.summary["networks"]}
    assert networks["magnitude-0-0.9"]["prune_ratio"] == pytest.approx(0.9, abs=1e-3)
    whole, small = networks["parent"], networks["filter_norm-0-0.9"]
    assert small["parameters"] < whole["parameters"] / 4
    assert networks["magnitude-0-0.9"]["parameters"] == whole["parameters"]
    assert networks["parent"]["prune_ratio"] == 0
    for facts in networks.values():
        if facts["file"]:
            assert (result.folder / facts["file"]).is_file()


def test_losses_are_those_of_the_networks_themselves(result, digits, trained):
    from evalsuite.data import choose

    chosen = choose(digits.test, 150, 0)
    with torch.inference_mode():
        wrong = (trained(chosen.pixels(range(150))).argmax(1) != chosen.labels).float().mean()
    (cell,) = [
        c for c in result.summary["cells"] if (c["task"], c["measure"], c["network"]) == ("clean", "error", "parent")
    ]
    assert cell["loss"] == pytest.approx(float(wrong))
    assert cell["n"] == 150
    assert cell["low"] < cell["loss"] + 1e-12 < cell["high"]


def test_a_task_that_cannot_be_asked_says_why(result):
    (task,) = [t for t in result.summary["tasks"] if t["name"] == "corruption/saturate/3"]
    assert task["unavailable"]
    assert not task["required"]
    assert not [c for c in result.summary["cells"] if c["task"] == "corruption/saturate/3"]


def test_every_network_is_shown_every_others_pixels(result):
    names = [n["id"] for n in result.summary["networks"]]
    rows = result.summary["features"]
    assert len(rows) == len(names) ** 2
    assert {(row["pixels_from"], row["seen_by"]) for row in rows} == {(a, b) for a in names for b in names}
    assert all(row["n"] == 20 and row["low"] < row["value"] < row["high"] for row in rows)
    # it binds nothing: its own observations are no judgement of the whole image
    (task,) = [t for t in result.summary["tasks"] if t["kind"] == "features"]
    assert not task["required"]
    cells = {(c["measure"], c["network"]) for c in result.summary["cells"] if c["task"] == task["name"]}
    assert cells == {("feature_confidence", name) for name in names if name != "parent"}


def test_claims(result):
    row = result.commensurate("clean")
    assert [step["network"] for step in row["steps"]] == ["magnitude-0-0.5", "magnitude-0-0.9"]
    assert row["prune_potential"] >= row["commensurate"]
    assert result.deployable["ratio"] <= min(
        p["commensurate"]
        for p in result.summary["potential"]
        if p["family"] == result.deployable["family"] and p["measure"] == "error"
    )
    with pytest.raises(KeyError, match="clen"):
        result.commensurate("clen")


def test_the_same_call_again_computes_nothing(result, digits, trained, monkeypatch):
    def never(*_args, **_kwargs):
        raise AssertionError("computed again")

    for task in TASKS:
        monkeypatch.setattr(type(task), "observe", never)
    monkeypatch.setattr("evalsuite.pruning.retraining.train", never)
    again = sweep(
        trained,
        digits,
        out=result.folder,
        pruner=(Magnitude(), FilterNorm()),
        ratios=(0.5, 0.9),
        retrain=Standard(epochs=1, shift=0),
        evaluation_settings=JUDGING,
    )
    assert timeless(json.loads(json.dumps(again.summary))) == timeless(json.loads(json.dumps(result.summary)))


def test_another_run_is_refused_in_the_same_folder(result, digits):
    with pytest.raises(UsageError, match="belongs to another run"):
        sweep(network(seed=1), digits, out=result.folder, ratios=(0.5,), evaluation_settings=JUDGING)


def test_amending_adds_work_and_keeps_what_is_there(result, digits, trained, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(result.folder, folder)
    monkeypatch.setattr("evalsuite.pruning.retraining.train", None)  # no network is made again
    more = replace(JUDGING, tasks=(*TASKS, Noise(distribution="gaussian", level=0.1)))

    def again(*, amend):
        return sweep(
            trained,
            digits,
            out=folder,
            pruner=(Magnitude(), FilterNorm()),
            ratios=(0.5, 0.9),
            retrain=Standard(epochs=1, shift=0),
            evaluation_settings=more,
            amend=amend,
        )

    with pytest.raises(UsageError, match=r"differs in tasks.*--amend"):
        again(amend=False)
    amended = again(amend=True).summary
    cells = {(c["task"], c["measure"], c["network"]): c for c in amended["cells"]}
    assert ("noise/gaussian/0.1", "error", "magnitude-0-0.9") in cells
    for cell in result.summary["cells"]:
        assert cells[cell["task"], cell["measure"], cell["network"]] == cell


def test_front_door_is_lazy_and_named():
    assert evalsuite.sweep is sweep
    with pytest.raises(AttributeError, match="swep"):
        evalsuite.swep  # noqa: B018
