"""What holds for every problem: tasks observe it independently of how work is cut, or refuse it, and a sweep ends."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from evalsuite.analysis.results_file import read_back
from evalsuite.api import sweep
from evalsuite.config.presets import PRESETS
from evalsuite.config.settings import EvaluationSettings
from evalsuite.data import Batch, Dataset, Examples
from evalsuite.evaluation.evaluate import why_unavailable
from evalsuite.gate.judge import judge
from evalsuite.gate.policy import parse_policy
from evalsuite.parts.registry import names
from evalsuite.problems import CLASSIFICATION, Problem
from evalsuite.problems.regression import Regression
from evalsuite.problems.segmentation import VOID, Segmentation
from evalsuite.problems.super_resolution import SuperResolution
from evalsuite.tasks._names import expand, parse
from evalsuite.training import named
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude

pytestmark = pytest.mark.slow

PROBLEMS: dict[str, Problem] = {
    "classification": CLASSIFICATION,
    "segmentation": Segmentation(),
    "super_resolution": SuperResolution(factor=2),
    "regression": Regression(scale=(1.0, 1.0)),
}
TASKS = ("clean", "noise/uniform/0.1", "noise/gaussian/0.2?draws=2", "corruption/fog/3")
SWEPT = ("clean", "noise/uniform/0.1?draws=2", "corruption/elastic_transform/3")
CLASSES = {"classification": 3, "segmentation": 3, "super_resolution": 3, "regression": 2}


def photos(n: int, seed: int) -> torch.Tensor:
    coarse = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, (16, 16), mode="bilinear")


def examples(kind: str, n: int, seed: int) -> Examples:
    images = photos(n, seed)
    brightest = images.argmax(1)
    if kind == "classification":
        return Examples.from_labels(images, images.mean((2, 3)).argmax(1))
    if kind == "segmentation":
        brightest[:, 0] = VOID
        return Examples.from_targets(PROBLEMS[kind], images, brightest)
    if kind == "super_resolution":
        return Examples.from_targets(PROBLEMS[kind], nn.functional.avg_pool2d(images, 2), images)
    return Examples.from_targets(
        PROBLEMS[kind], images, torch.stack([images.mean((1, 2, 3)), images.amax((1, 2, 3))], 1)
    )


def network(kind: str, seed: int) -> nn.Module:
    head: dict[str, list[nn.Module]] = {
        "classification": [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)],
        "segmentation": [nn.Conv2d(8, 3, 1)],
        "super_resolution": [nn.Conv2d(8, 12, 1), nn.PixelShuffle(2)],
        "regression": [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)],
    }
    made = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), *head[kind])
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5)
    return made.eval()


def data(kind: str) -> Dataset:
    train, test = examples(kind, 48, 1), examples(kind, 40, 2)
    titles = tuple(f"output {number}" for number in range(CLASSES[kind]))
    shape = (3, 8, 8) if kind == "super_resolution" else (3, 16, 16)
    return Dataset(name=kind, classes=titles, shape=shape, train=train, test=test, mean=(0.0,) * 3, std=(1.0,) * 3)


def part(whole: Batch, start: int, stop: int) -> Batch:
    cut = slice(start, stop)
    targets = None if whole.targets is None else whole.targets[cut]
    return replace(whole, images=whole.images[cut], labels=whole.labels[cut], ids=whole.ids[cut], targets=targets)


@pytest.fixture(params=PROBLEMS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_all_are_here() -> None:
    assert set(PROBLEMS) == set(names("evalsuite.problems"))


@pytest.mark.parametrize("requested", TASKS)
def test_observations_depend_on_nothing_but_the_example(kind: str, requested: str) -> None:
    task, whole = parse(requested), examples(kind, 7, 3).batch(0, 7)
    networks = [network(kind, seed) for seed in range(3)]
    together = task.observe(networks, whole, seed=5).networks
    for order in ([2], [1, 0]):
        for start, stop in ((0, 3), (3, 7)):
            observed = task.observe([networks[k] for k in order], part(whole, start, stop), seed=5).networks
            for k, columns in zip(order, observed, strict=True):
                for column, values in columns.items():
                    np.testing.assert_allclose(values, together[k][column][start:stop], rtol=1e-4, atol=1e-5)
    related = [task.compare(each, together[0]) for each in together]
    (column,) = related[0]
    assert related[0][column].max() == 0
    assert related[1][column].shape == ((7, 2) if "draws" in requested else (7,))
    assert related[1][column].max() > 0


@pytest.fixture(scope="module", params=PROBLEMS)
def swept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A problem and the folder of a sweep."""
    kind = str(request.param)
    out = tmp_path_factory.mktemp(kind)
    sweep(
        network(kind, 0),
        data(kind),
        out=out,
        pruner=[Magnitude(), FilterNorm()],
        ratios=[0.4, 0.8],
        retrain=named("standard?epochs=1&batch_size=16&learning_rate=0.01", architecture="", data=""),
        evaluation_settings=EvaluationSettings(tasks=expand(SWEPT), margin=0.3, examples=40),
        accept_parent=True,  # its weights are random
    )
    return kind, out


def test_the_first_measure_is_the_loss_of_the_problem(swept: tuple[str, Path]) -> None:
    kind, out = swept
    cells = {
        (c["task"], c["measure"], c["network"]): c for c in json.loads((out / "results.json").read_text())["cells"]
    }
    problem, wanted = PROBLEMS[kind], data(kind).test
    batch = wanted.batch(0, len(wanted))
    with torch.no_grad():
        expected = problem.losses(network(kind, 0)(batch.images), batch.truths).mean()
    assert cells["clean", problem.measures[0], "parent"]["loss"] == pytest.approx(float(expected), abs=1e-6)


def test_a_sweep_ends_in_a_verdict_and_a_report(swept: tuple[str, Path]) -> None:
    kind, out = swept
    summary = json.loads((out / "results.json").read_text())
    first = PROBLEMS[kind].measures[0]
    message = {task["name"]: task["unavailable"] for task in summary["tasks"]}
    aligned = PROBLEMS[kind].aligned
    assert (message["corruption/elastic_transform/3"] is not None) == aligned
    requested = [task for task, reason in message.items() if reason is None]
    assert {(row["task"], row["measure"]) for row in summary["potential"]} >= {(task, first) for task in requested}
    assert summary["complete"]
    assert summary["deployable"] is not None
    verdicts = {
        cell["verdict"] for cell in summary["cells"] if (cell["measure"], cell["network"] == "parent") == (first, False)
    }
    assert verdicts <= {"commensurate", "not_commensurate", "inconclusive"}
    for row in summary["cells"]:
        assert row["n"] == 40
        assert 0 <= row["loss"] <= 1


def test_the_gate_makes_the_same_results_again_and_finds_no_contradiction(swept: tuple[str, Path]) -> None:
    kind, out = swept
    policy = parse_policy(
        f'[[require]]\ntask = "*"\nmeasure = "{PROBLEMS[kind].measures[0]}"\nmax_loss = 1', source="p"
    )
    checks = {check.requirement: check for check in judge(policy, *read_back(out)).checks if check.task == "evidence"}
    assert checks.keys() == {"complete", "store"}
    assert {check.outcome for check in checks.values()} == {"pass"}


class Odd(nn.Module):
    """One output of every bright image is not finite."""

    def __init__(self, inner: nn.Module, value: float) -> None:
        super().__init__()
        self.inner, self.value = inner, value

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs = self.inner(images).clone()
        outputs.flatten(1)[images.mean((1, 2, 3)) > 0.5, 0] = self.value
        return outputs


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_outputs_that_are_not_finite_pass_no_gate(kind: str, value: float, tmp_path: Path) -> None:
    more = {"classification": ("nll", "calibration"), "segmentation": ("mean_iou",)}.get(kind, ())
    measures = (*PROBLEMS[kind].measures, *more)
    sweep(
        Odd(network(kind, 0), value).eval(),
        data(kind),
        out=tmp_path,
        ratios=[0.4],
        evaluation_settings=EvaluationSettings(tasks=expand(("clean",)), measures=measures, margin=0.9, examples=40),
        accept_parent=True,
    )
    results, backing = read_back(tmp_path)
    assert all(network.not_finite == ("clean",) for network in results.networks)
    bright = int((data(kind).test.pixels(range(40)).mean((1, 2, 3)) > 0.5).sum())
    assert 0 < bright < 40
    for cell in results.cells:
        messages = "numbers that are not finite" if cell.n is None else f"{bright} outputs that are not finite"
        assert messages in cell.reason
        assert cell.verdict in {None, "inconclusive"}
    for measure in measures:
        policy = parse_policy(f'[[require]]\ntask = "clean"\nmeasure = "{measure}"\nmax_loss = 1', source="p")
        result = judge(policy, results, backing)
        assert result.exit_code == 3
        (check,) = [check for check in result.checks if check.requirement == "outputs"]
        assert check.message == "outputs: parent puts out NaN or infinity on clean"


def test_the_page_speaks_of_the_loss_that_was_judged(swept: tuple[str, Path]) -> None:
    kind, out = swept
    page = (out / "report.html").read_text()
    assert ("may get at most 300 more wrong" in page) == (kind == "classification")
    assert ("a pruned network&#39;s loss (" in page) == (kind != "classification")


@pytest.mark.parametrize("preset", PRESETS)
def test_tasks_that_ask_about_classes_are_refused_elsewhere(kind: str, preset: str) -> None:
    for task in expand(PRESETS[preset]["tasks"]):
        reason = why_unavailable(task, data(kind), [network(kind, 0)])
        if kind != "classification" and task.of_classes:
            assert reason == f"it asks about one class an image, and {kind} is about {PROBLEMS[kind].title}"
        elif reason is not None:
            assert "one class an image" not in reason


def test_measures_that_are_asked_for_come_after_the_one_that_tells() -> None:
    judging = EvaluationSettings(tasks=expand(["clean"]))
    for problem in PROBLEMS.values():
        assert judging.with_default_measures(problem).measures == problem.measures
    requested = replace(judging, measures=("calibration",))
    assert requested.with_default_measures(CLASSIFICATION).measures == ("calibration",)
    assert requested.with_default_measures(Segmentation()).measures == ("iou", "calibration")
    assert replace(judging, measures=("mean_iou", "iou")).with_default_measures(Segmentation()).measures == (
        "mean_iou",
        "iou",
    )
