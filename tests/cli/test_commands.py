"""Every command does what its help says, on a small real run."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalsuite.config.build import build_evaluation_settings
from evalsuite.config.presets import PRESETS
from evalsuite.config.spec import resolve
from evalsuite.corruptions import COMMON, EXTRA
from evalsuite.parts import names

pytestmark = pytest.mark.slow

COMMANDS = ["sweep", "prune", "evaluate", "train", "demo", "report", "gate", "plan", "status", "list", "show", "doctor"]


def options(checkpoint, out):
    return (
        *("--ckpt", checkpoint, "--out", out, "--ratios", "0.5,0.9", "--schedule", "one-shot"),
        *("--tasks", "clean,noise/uniform/0.1", "--examples", "60", "--margin", "0.2"),
    )


@pytest.fixture
def run(evalsuite, checkpoint, tmp_path):
    ended = evalsuite("sweep", *options(checkpoint, tmp_path / "run"))
    assert ended.code == 0, ended.err
    return tmp_path / "run"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(evalsuite, command):
    ended = evalsuite(command, "--help")
    assert ended.code == 0
    assert f"evalsuite {command}" in ended.out.split("xample", 1)[1]


@pytest.mark.parametrize("arguments", [["--help"], ["sweep", "--help"], ["gate", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys; from evalsuite.cli import cli\n"
        f"try: cli.main({arguments!r}, standalone_mode=False)\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'pydantic', 'rich', 'matplotlib', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_sweep_twice_does_nothing_the_second_time(evalsuite, checkpoint, run):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file() and path.suffix != ".lock"}
    ended = evalsuite("sweep", *options(checkpoint, run), "--json")
    assert ended.code == 0
    assert "nothing to do" in ended.err
    assert json.loads(ended.out)["complete"] is True
    assert before == {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file() and p.suffix != ".lock"}


def test_a_finished_run_is_recognised_without_torch(checkpoint, run):
    code = (
        "import sys; from evalsuite.cli import cli\n"
        f"sys.argv = {['evalsuite', 'sweep', *map(str, options(checkpoint, run))]!r}\n"
        "try: cli.main(sys.argv[1:], standalone_mode=False)\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "nothing to do" in ended.stderr


def test_run_file_repeats_the_run(evalsuite, run, tmp_path):
    ended = evalsuite("sweep", "--config", run / "run.toml", "--out", tmp_path / "again", "--json")
    assert ended.code == 0, ended.err
    one, two = (json.loads((folder / "results.json").read_text()) for folder in (run, tmp_path / "again"))
    assert one["cells"] == two["cells"]
    assert one["potential"] == two["potential"]
    assert [n["digest"] for n in one["networks"]] == [n["digest"] for n in two["networks"]]


def test_environment_variables(evalsuite, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALSUITE_PLAN_EXAMPLES", "7")
    ended = evalsuite("plan", *options(checkpoint, tmp_path / "run")[:6], "--tasks", "clean", "--json")
    assert [row["examples"] for row in json.loads(ended.out)["tasks"]] == [7]
    ended = evalsuite("plan", *options(checkpoint, tmp_path / "run"), "--json")  # flags win
    assert [row["examples"] for row in json.loads(ended.out)["tasks"]] == [60, 60]


def test_plan_shows_what_examples_can_show(evalsuite, checkpoint, tmp_path):
    ended = evalsuite("plan", *options(checkpoint, tmp_path / "run"), "--json")
    result = json.loads(ended.out)
    assert result["networks"] == 3
    # no changed example among 60: Tango's bound is z^2/(n + z^2) = 2.7055/62.7055
    assert result["tasks"][0]["smallest_margin"] == pytest.approx(2.7055 / 62.7055, rel=1e-3)
    assert not (tmp_path / "run").exists()
    assert "smallest drop" in evalsuite("plan", *options(checkpoint, tmp_path / "run")).out


def test_status(evalsuite, run):
    ended = evalsuite("status", run, "--json")
    assert ended.code == 0
    outcome = json.loads(ended.out)
    assert outcome["complete"]
    assert all(row["done"] == row["planned"] > 0 for row in outcome["tasks"])


def test_report_formats(evalsuite, run):
    (run / "report.html").unlink()
    assert evalsuite("report", run).code == 0
    assert (run / "report.html").read_text().startswith("<!doctype html>")
    assert evalsuite("report", run, "--format", "markdown").out.startswith("## ")
    assert json.loads(evalsuite("report", run, "--format", "json").out)["schema"] == "evalsuite-results/1"


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ('[policy]\nnetwork = "magnitude-0-0.5"\n[[require]]\ntask = "clean"\nmax_loss = 1.0\n', 0),
        ('[policy]\nname = "hard"\n[[require]]\ntask = "clean"\nmax_loss = 0.001\n', 1),
        ('[policy]\nname = "absent"\n[[require]]\ntask = "adversarial/*"\nmin_commensurate = 0.1\n', 3),
        ("[polic]\n", 2),
    ],
)
def test_gate(evalsuite, run, tmp_path, policy, code):
    path = tmp_path / "policy.toml"
    path.write_text(policy)
    ended = evalsuite("gate", run, "--policy", path)
    assert ended.code == code, ended.err + ended.out
    assert (run / "junit.xml").exists() == (code != 2)
    again = evalsuite("sweep", "--config", run / "run.toml", "--out", run, "--gate", path)
    assert again.code == code, again.err


def test_prune_and_evaluate(evalsuite, checkpoint, tmp_path):
    ended = evalsuite(
        "prune",
        "--ckpt",
        checkpoint,
        "--out",
        tmp_path / "made",
        "--ratios",
        "0.5,0.8",
        "--pruner",
        "filter-norm",
        "--json",
    )
    assert ended.code == 0, ended.err
    files = [tmp_path / "made" / network["file"] for network in json.loads(ended.out)["networks"]]
    assert all(file.is_file() for file in files)
    ended = evalsuite(
        "evaluate", "--parent", checkpoint, "--candidates", ",".join(map(str, files)), "--tasks", "clean",
        "--examples", "50", "--out", tmp_path / "judged", "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    actual = json.loads(ended.out)
    assert [n["role"] for n in actual["networks"]] == ["parent", "pruned", "pruned"]
    assert actual["networks"][2]["prune_ratio"] == pytest.approx(0.8, abs=0.03)
    assert actual["networks"][2]["parameters"] < actual["networks"][0]["parameters"]


def test_train_writes_a_checkpoint_that_sweeps(evalsuite, tmp_path):
    out = tmp_path / "small.safetensors"
    ended = evalsuite("train", "--arch", "lenet5", "--data", "digits", "--epochs", "5", "--out", out)
    assert ended.code == 0, ended.err
    assert out.with_suffix(".early.safetensors").exists()
    shown = json.loads(evalsuite("show", out, "--json").out)
    assert shown["arch"] == "lenet5"
    ended = evalsuite(
        "sweep", "--ckpt", out, "--ratios", "0.5", "--tasks", "clean", "--examples", "30", "--out", tmp_path / "run",
        "--retrain", "standard", "--epochs", "1", "--schedule", "cascade", "--rewind", "weights",
        "--early", out.with_suffix(".early.safetensors"), "--controls", "dense",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    roles = [n["role"] for n in json.loads((tmp_path / "run" / "results.json").read_text())["networks"]]
    assert roles == ["parent", "pruned", "control"]


@pytest.mark.parametrize(
    "kind", ["attacks", "corruptions", "data", "measures", "networks", "presets", "pruners", "recipes", "tasks"]
)
def test_list(evalsuite, kind):
    computed = json.loads(evalsuite("list", kind, "--json").out)[kind]
    assert computed
    assert all(says for says in computed.values())
    assert all(name in evalsuite("list", kind).out for name in computed)


def test_list_knows_what_there_is(evalsuite):
    result = json.loads(evalsuite("list", "--json").out)
    assert set(result["corruptions"]) >= {*COMMON, *EXTRA}
    assert {"magnitude", "random", "synflow", "filter_norm"} <= set(result["pruners"])
    assert "standard" in result["recipes"]
    assert evalsuite("list", "prunres").code == 2


@pytest.mark.parametrize("what", ["corruption/fog/3", "pruners/synflow", "clean", "recipes/standard"])
def test_show_parts(evalsuite, what):
    ended = evalsuite("show", what)
    assert ended.code == 0
    assert len(ended.out.splitlines()) >= 2


def test_show_run_and_unknown(evalsuite, run):
    assert evalsuite("show", run).code == 0
    ended = evalsuite("show", "pruners/synflo")
    assert ended.code == 2
    assert "synflow" in ended.err


def test_doctor(evalsuite):
    ended = evalsuite("doctor", "--json")
    assert ended.code == 0, ended.out
    checks = {check["what"]: check["state"] for check in json.loads(ended.out)["checks"]}
    assert checks["torch"] == checks["digits"] == "ok"


def test_doctor_uses_what_is_optional_and_is_not_content_with_its_presence(evalsuite, monkeypatch, tmp_path):
    for name, text in (("timm", "raise RuntimeError('operator torchvision::nms does not exist')"), ("robustbench", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *map(str, sys.path)]))
    ended = evalsuite("doctor", "--json")
    assert ended.code == 0, ended.out
    checks = {check["what"]: (check["state"], check["says"]) for check in json.loads(ended.out)["checks"]}
    state, says = checks["timm"]
    assert state == "optional"
    assert says.endswith(
        "is installed and does not work: RuntimeError: operator torchvision::nms does not exist; "
        "networks by name (timm:NAME): pip install '.[timm]' in a checkout of evalsuite"
    )
    state, says = checks["robustbench"]
    assert state == "optional"
    assert "robustbench cannot be imported (ModuleNotFoundError: No module named 'robustbench.model_zoo')" in says
    assert "make robustbench" in says


def test_doctor_names_what_works_for_what_is_not_there(evalsuite, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    checks = {check["what"]: check["says"] for check in json.loads(evalsuite("doctor", "--json").out)["checks"]}
    for library, extra in (("timm", "timm"), ("onnxruntime", "onnx"), ("imagecorruptions-imaug", "frost")):
        assert checks[library].endswith(f": pip install '.[{extra}]' in a checkout of evalsuite")


def test_evaluate_a_network_alone(evalsuite, checkpoint, tmp_path):
    out = tmp_path / "run"
    ended = evalsuite("evaluate", "--parent", checkpoint, "--tasks", "clean", "--examples", 40, "--out", out)
    assert ended.code == 0, ended.err
    results = json.loads((out / "results.json").read_text())
    standard = results["parent"]["standard"]
    right = f"{100 * (1 - standard['loss']):.4g}"
    assert ended.out.startswith(f"Accuracy {right} %.")  # on stdout, and before anything is computed on stderr
    assert f"accuracy {1 - standard['loss']:.1%}" in ended.err.splitlines()[1]
    assert [network["role"] for network in results["networks"]] == ["parent"]
    (cell,) = [cell for cell in results["cells"] if cell["measure"] == "error"]
    assert cell["n"] == 40
    assert cell["low"] < cell["loss"] < cell["high"]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_names_what_there_is(preset):
    spec = resolve({"ckpt": Path("model.safetensors"), "preset": preset})
    requested = build_evaluation_settings(spec)
    assert requested.tasks
    assert {names.part_kind(task) for task in requested.tasks} >= set(requested.examples_for) | set(
        requested.margin_for
    )


def test_a_network_trained_apart_stands_beside(evalsuite, checkpoint, tmp_path):
    other = tmp_path / "other.safetensors"
    assert evalsuite("train", "--arch", "lenet5", "--data", "digits", "--epochs", 1, "--out", other).code == 0
    ended = evalsuite("sweep", *options(checkpoint, tmp_path / "run"), "--separate", other, "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert [n["role"] for n in result["networks"]] == ["parent", "pruned", "pruned", "control"]
    assert result["networks"][-1]["id"] == "separate"
    distances = {
        cell["network"]: cell["loss"]
        for cell in result["cells"]
        if (cell["task"], cell["measure"]) == ("noise/uniform/0.1", "softmax_distance")
    }
    assert 0 < distances["magnitude-0-0.5"] < distances["separate"]
    # the same again is done already; without it, it is another run
    again = evalsuite("sweep", *options(checkpoint, tmp_path / "run"), "--separate", other)
    assert again.code == 0
    assert "Evaluating" not in again.err
    ended = evalsuite("sweep", *options(checkpoint, tmp_path / "run"))
    assert ended.code == 2
    assert "separate" in ended.err
