"""A table from training to verdict, as it is typed."""

import json

import pytest

FAST = ("--accept-parent", "--preset", "quick", "--ratios", "0.5", "--examples", "40", "--device", "cpu")


@pytest.fixture
def trained(evalsuite, tmp_path):
    out = tmp_path / "mlp.safetensors"
    typed = ("--arch", "mlp?width=8", "--data", "diabetes", "--epochs", "20", "--device", "cpu", "--out", out)
    ended = evalsuite("train", *typed)
    assert ended.code == 0, ended.err
    assert "1 - scaled error" in ended.err
    return out


def test_a_table_is_swept_and_planned(evalsuite, trained, tmp_path):
    run = evalsuite("sweep", "--ckpt", trained, "--out", tmp_path / "run", *FAST, "--json")
    assert run.code == 0, run.err
    result = json.loads(run.out)
    assert [measure["name"] for measure in result["measures"]] == ["scaled_error", "answer_distance"]
    message = {task["name"]: task["unavailable"] for task in result["tasks"]}
    requested = {"clean", "noise/uniform/0.1", "noise/gaussian/0.1"}
    assert {name for name, reason in message.items() if reason is None} == requested
    assert {task["name"] for task in result["tasks"] if task["required"]} == requested
    assert message["corruption/fog/3"] == "corruptions are of gray and colour images"
    # a row of a table is no picture
    assert "data:image/png" not in (tmp_path / "run" / "report.html").read_text()
    plan = json.loads(evalsuite("plan", "--ckpt", trained, *FAST, "--json").out)
    (clean,) = [task for task in plan["tasks"] if task["task"] == "clean"]
    # what a run shows of the parent beside itself is the smallest drop that so many examples can show
    (same,) = [
        c for c in result["cells"] if (c["task"], c["measure"], c["network"]) == ("clean", "scaled_error", "parent")
    ]
    assert clean["smallest_margin"] == pytest.approx(same["difference_high"])


def test_a_recipe_of_classes_is_refused_before_anything_is_made(evalsuite, trained, tmp_path):
    ended = evalsuite("sweep", "--ckpt", trained, "--out", tmp_path / "run", *FAST, "--retrain", "trades")
    assert ended.code == 2
    assert "--retrain trades: its loss asks about one class an image, and the data are about regression" in ended.err
    assert not (tmp_path / "run").exists()
