"""Results in Python: looked up, drawn, in tables, in a notebook, held to a policy, and read again from their folder."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from importlib.util import find_spec
from types import ModuleType

import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

import evalsuite
from evalsuite import Result, UsageError, load, sweep
from evalsuite.errors import IncompleteEvidenceError, RefusedInputError
from evalsuite.records.schema import parse_results
from evalsuite.records.store import opened

pytestmark = pytest.mark.slow

TASKS = ("clean", "noise/uniform/0.2", "corruption/saturate/3")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    with torch.random.fork_rng():
        torch.set_rng_state(torch.Generator().manual_seed(0).get_state())
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    return sweep(
        network,
        "digits",
        out=tmp_path_factory.mktemp("run"),
        pruner="magnitude,random",
        ratios=(0.5, 0.9),
        tasks=TASKS,
        measures="error,softmax_distance",
        examples=40,
        margin=0.1,
        accept_parent=True,
    )


def renamed(result, **more):
    return replace(result, results=parse_results({**result.summary, **more}))


def test_one_short_line_stands_for_it(result):
    claim = {"family": "magnitude-0", "network": "magnitude-0-0.5", "ratio": 0.618, "binding_task": "corruption/fog/3"}
    assert repr(renamed(result, deployable=claim)) == (
        f"<Result {str(result.folder)!r}: deployable to 61.8%, bound by corruption/fog/3; "
        "5 networks, 3 tasks, complete>"
    )
    assert "nothing is shown to be deployable" in repr(renamed(result, deployable=None))
    assert "incomplete" in repr(renamed(result, complete=False))
    assert "\n" not in repr(result)


def test_loading_gives_an_equal_result(result):
    assert load(result.folder) == load(str(result.folder)) == load(result.folder / "results.json") == result
    assert load(result.folder) != renamed(result, complete=False)


def test_loading_needs_no_torch(result):
    script = f"import sys, evalsuite; evalsuite.load({str(result.folder)!r}); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_loading_refuses_what_a_gate_refuses(result, tmp_path):
    with pytest.raises(UsageError, match="expected a run folder"):
        load(tmp_path)
    run = tmp_path / "run"
    shutil.copytree(result.folder, run)
    document = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps({**document, "complete": not document["complete"]}))
    with pytest.raises(RefusedInputError, match="expected what the store says"):
        load(run)
    (run / "results.json").unlink()
    with pytest.raises(IncompleteEvidenceError, match="not finished"):
        load(run)


def test_tables(result):
    assert [row["id"] for row in result.rows("networks")] == [n["id"] for n in result.summary["networks"]]
    assert result.rows("cells") == result.summary["cells"]
    assert {(row["family"], row["task"], row["measure"]) for row in result.rows("claims")} >= {
        ("magnitude-0", "clean", "error"),
        ("random-0", "noise/uniform/0.2", "softmax_distance"),
    }
    with pytest.raises(UsageError, match="Did you mean 'cells'"):
        result.rows("cell")


def test_observations_are_those_that_losses_are_means_of(result):
    rows = result.rows("observations")
    assert len(rows) == 2 * 5 * 40  # the third task is not one of grey images
    for cell in result.summary["cells"]:
        if cell["measure"] != "error":
            continue
        rows_of_cell = [r for r in rows if (r["task"], r["network"]) == (cell["task"], cell["network"])]
        assert [row["example"] for row in rows_of_cell] == list(range(40))
        assert sum(row["prediction"] != row["label"] for row in rows_of_cell) / 40 == pytest.approx(cell["loss"])
    with opened(result.folder) as store:
        assert len(store.tasks()) == 3  # nothing keeps the store


def test_a_frame_has_the_rows(result, monkeypatch):
    made = []
    pandas = ModuleType("pandas")
    pandas.DataFrame = made.append
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    for table in ("networks", "cells", "claims", "observations"):
        result.to_frame(table)
        assert made[-1] == result.rows(table)


@pytest.mark.skipif(find_spec("pandas") is None, reason="pandas is not installed")
def test_a_frame_of_pandas(result):
    frame = result.to_frame("observations")
    assert frame[frame.task == "clean"].groupby("network").size().to_dict() == dict.fromkeys(
        [n["id"] for n in result.summary["networks"]], 40
    )


def test_without_pandas_the_way_out_is_told(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"pip install 'evalsuite\[notebook\]'"):
        result.to_frame("cells")


def test_figures(result, tmp_path):
    for kind, options in (
        ("ratios", {}),
        ("loss", {"task": "clean"}),
        ("loss", {"task": "noise/uniform/0.2", "measure": "softmax_distance"}),
    ):
        figure = result.figure(kind, **options)
        assert isinstance(figure, Figure)
        figure.savefig(tmp_path / "figure.png")
    # the measure that is asked for is drawn, not the one that the report shows
    drawn = result.figure("loss", task="clean", measure="softmax_distance").axes[0].lines
    cells = {
        c["network"]: c for c in result.summary["cells"] if (c["task"], c["measure"]) == ("clean", "softmax_distance")
    }
    losses = [cells[f"magnitude-0-{ratio}"]["loss"] for ratio in (0.5, 0.9)]
    assert any(list(line.get_ydata())[-2:] == losses for line in drawn)
    for kind, options, message in (
        ("los", {}, "Did you mean 'loss'"),
        ("loss", {}, "expected task=NAME"),
        ("loss", {"task": "clen"}, "Did you mean 'clean'"),
        ("loss", {"task": "clean", "measure": "eror"}, "Did you mean 'error'"),
    ):
        with pytest.raises(UsageError, match=message):
            result.figure(kind, **options)


class Cells(HTMLParser):
    """The text of every cell, its colour, and every tag that there is."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [f"{key}={value}" for key, value in attrs]
        if tag == "td":
            self.texts.append(dict(attrs))


def test_a_notebook_shows_the_answer_and_a_matrix(result):
    shown = result._repr_html_()
    cells = Cells(shown)
    verdicts = [
        next(c["verdict"] for c in result.summary["cells"] if (c["task"], c["measure"], c["network"]) == key)
        for family in ("magnitude-0", "random-0")
        for key in [(task, "error", f"{family}-{ratio}") for task in TASKS[:2] for ratio in (0.5, 0.9)]
    ]
    assert [cell["title"] for cell in cells.texts] == [verdict.replace("_", " ") for verdict in verdicts]
    assert len({cell["style"] for cell in cells.texts}) == len(set(verdicts))
    assert not {"script", "link", "img", "style", "iframe"} & set(cells.tags)
    assert "the parent itself is no standard" in shown


def test_names_are_no_markup(result):
    hostile = "<script>alert('x')</script>"
    text = json.dumps(result.summary).replace("noise/uniform/0.2", hostile).replace("magnitude-0", hostile)
    warned = {**json.loads(text), "warnings": [hostile]}
    shown = replace(result, results=parse_results(warned))._repr_html_()
    assert "<script" not in shown
    # as the warning, as the family's name and as the task's, once a family
    assert shown.count("&lt;script&gt;alert") == 4


def test_a_gate_in_python(result, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text('[policy]\nmin_deployable = 0.5\nassumptions = ["*"]\n')
    verdict = result.gate(policy)
    assert verdict.exit_code != 0
    assert verdict == load(result.folder).gate(str(policy))


def test_the_front_door_is_lazy_and_whole():
    script = "import sys, evalsuite; dir(evalsuite); assert not {'torch', 'numpy', 'evalsuite.api'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
    for name in evalsuite.__all__:
        assert getattr(evalsuite, name) is not None
    assert set(evalsuite.__all__) <= set(dir(evalsuite))
    assert evalsuite.Result is Result
    with pytest.raises(AttributeError, match="swep"):
        evalsuite.swep  # noqa: B018


def test_contracts_of_all_kinds_of_parts_are_public():
    from evalsuite import extend

    for name in extend.__all__:
        assert getattr(extend, name) is not None
    kinds = {"Architecture", "Attack", "Corruption", "Measure", "Pruner", "Recipe", "Regulariser", "Source", "Task"}
    assert kinds < set(extend.__all__)
