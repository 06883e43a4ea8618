"""Exemplars through a whole run: what is stored, what is counted, what is shown."""

import base64
import io
import re
from collections import Counter
from types import SimpleNamespace as Namespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from evalsuite.analysis.evidence import Family
from evalsuite.analysis.exemplars import find_exemplars
from evalsuite.api import sweep
from evalsuite.config.settings import EvaluationSettings
from evalsuite.data import choose, load
from evalsuite.networks.checkpoints.checkpoint import restore
from evalsuite.records.stored import StoredFamily
from evalsuite.tasks.clean import Clean
from evalsuite.tasks.noise import Noise

RATIOS = (0.8, 0.9, 0.95)


def network():
    outcome = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    with torch.no_grad():
        outcome[1].weight.copy_(torch.randn(10, 64, generator=torch.Generator().manual_seed(0)))
        outcome[1].bias.zero_()
    return outcome


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def result(digits, tmp_path_factory):
    tasks = (Clean(), Noise(level=0.2, draws=2), Noise(level=0.1))
    judging = EvaluationSettings(tasks=tasks, measures=("error",), examples=120, margin=0.1)
    return sweep(
        network(),
        digits,
        out=tmp_path_factory.mktemp("run"),
        ratios=RATIOS,
        evaluation_settings=judging,
        accept_parent=True,
    )


def test_exemplars_are_those_of_the_networks_themselves(result, digits):
    chosen = choose(digits.test, 120, 0)
    images, labels = chosen.pixels(range(120)), chosen.labels.tolist()
    files = [result.folder / "networks" / f"magnitude-0-{ratio:g}.safetensors" for ratio in RATIOS]
    with torch.inference_mode():
        parent = network()(images).argmax(1).tolist()
        children = [restore(file, network())(images).argmax(1).tolist() for file in files]
    modes = [Counter(votes).most_common(1)[0] for votes in zip(*children, strict=True)]
    expected = [k for k, (mode, votes) in enumerate(modes) if votes >= 2 and mode != parent[k]]
    assert 0 < len(expected) < 120

    (row,) = [r for r in result.summary["exemplars"] if r["task"] == "clean"]
    assert row["positions"] == expected[:24]
    assert row["count"] == len(expected)
    assert row["share"] == len(expected) / 120
    assert row["low"] < row["share"] < row["high"]
    assert (row["population"], row["family"], row["networks"], row["n"]) == ("magnitude-0", "magnitude-0", 3, 120)
    assert row["parent_error"] == pytest.approx(np.mean([parent[k] != labels[k] for k in expected]))
    assert row["child_error"] == pytest.approx(np.mean([modes[k][0] != labels[k] for k in expected]))


def test_only_tasks_with_one_prediction_of_the_same_image_have_them(result):
    assert [r["task"] for r in result.summary["exemplars"]] == ["clean", "noise/uniform/0.1"]


def test_the_report_shows_the_first_of_them_on_clean_data(result, digits):
    page = (result.folder / "report.html").read_text()
    section = page[page.index('id="exemplars"') :]
    section = section[: section.index("</section>")]
    (strip,) = re.findall(r'src="data:image/png;base64,([^"]+)"', section)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(strip))).convert("L"))
    (row,) = [r for r in result.summary["exemplars"] if r["task"] == "clean"]
    first = choose(digits.test, 120, 0).pixels(row["positions"][:1])[0, 0]
    # 8 x 8 pixels, each enlarged to 8 x 8
    assert shown[4:64:8, 4:64:8] == pytest.approx((first * 255).round().numpy(), abs=1)
    assert f"{row['count']} of 120" in section


class Seeds:
    """The part of `Evidence` that is read: a pruner with three seeds at two ratios, another with one at one."""

    def __init__(self):
        self.meta = Namespace(run=Namespace(confidence=0.95))
        self.parent = Namespace(digest="parent")
        self.tasks = [Namespace(name="clean")]

        def family(pruner, seed, ratios):
            networks = tuple(Namespace(digest=f"{pruner}-{seed}-{r}", target_ratio=r) for r in ratios)
            facts = StoredFamily(id=f"{pruner}-{seed}", pruner=pruner, seed=seed)
            return Family(facts=facts, networks=networks)

        self.families = [*(family("random", seed, (0.5, 0.9)) for seed in range(3)), family("synflow", 0, (0.5,))]

    def predictions(self, task, network):
        # at 0.9 two of three seeds see a 1 in the last example; at 0.5 nobody does
        observed = {"random-0-0.9": 1, "random-2-0.9": 1}.get(network.digest, 0)
        return np.array([0, 0, observed])

    def labels(self, task):
        return np.zeros(3, dtype=np.int64)


def test_seeds_of_one_pruner_at_one_ratio_are_a_population_and_a_single_network_is_none():
    rows = {row.population: row for row in find_exemplars(Seeds())}
    assert list(rows) == ["random-0", "random-1", "random-2", "random at 0.5", "random at 0.9"]
    assert rows["random at 0.9"].positions == (2,)
    assert rows["random at 0.9"].family is None
    assert (rows["random at 0.9"].parent_error, rows["random at 0.9"].child_error) == (0.0, 1.0)
    # in family random-0 one of two networks sees a 1: that is no majority
    assert all(row.count == 0 for name, row in rows.items() if name != "random at 0.9")


def test_one_network_leaves_no_section(digits, tmp_path):
    judging = EvaluationSettings(tasks=(Clean(),), measures=("error",), examples=60, margin=0.1)
    actual = sweep(network(), digits, out=tmp_path, ratios=(0.5,), evaluation_settings=judging, accept_parent=True)
    assert actual.summary["exemplars"] == []
    assert 'id="exemplars"' not in (tmp_path / "report.html").read_text()
