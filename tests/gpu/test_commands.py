"""Commands on the device, end to end, and their stores and networks gone on with on the CPU."""

import json
import pkgutil
import shutil
import subprocess
import sys
from importlib import import_module

import pytest

from evalsuite import cli
from evalsuite.cli import cli as group
from evalsuite.cli._console import guarded

TASKS = (
    *("clean", "noise/gaussian/0.1?draws=2", "corruption/gaussian_noise/2", "ood/shuffled", "saliency/0.1"),
    *("adversarial/linf/0.02?attack=pgd", "bounds/linf/0.002?method=interval", "features/0.2?steps=2"),
    "certified/l2/0.1?sigma=0.1&n=100&n0=10&alpha=0.01",
)
EXAMPLES = 40
QUICK = ("--tasks", ",".join(TASKS), "--examples", EXAMPLES, "--margin", 0.3)


def results(out):
    return json.loads((out / "results.json").read_text())


@pytest.fixture(scope="module")
def run():
    """Runs the command line in this process; ends with the code that is expected."""

    def call(*arguments, code=0):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys, "argv", ["evalsuite", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                guarded(group)
        assert ended.value.code == code

    return call


@pytest.fixture(scope="module")
def parent(run, device, tmp_path_factory):
    path = tmp_path_factory.mktemp("parent") / "lenet5.safetensors"
    run("train", "--arch", "lenet5", "--data", "digits", "--epochs", 8, "--device", device, "--out", path)
    return path


def pruned(parent, out, *, device):
    return (
        *("--ckpt", parent, "--out", out, "--device", device),
        *("--ratios", "0.5,0.9", "--pruner", "magnitude,filter-norm", "--retrain", "standard", "--epochs", 1),
    )


@pytest.fixture(scope="module")
def swept(run, parent, device, tmp_path_factory):
    """The folder of a sweep on the device."""
    out = tmp_path_factory.mktemp("swept") / "run"
    run("sweep", *pruned(parent, out, device=device), *QUICK)
    return out


def test_all_commands_that_take_a_device_are_here():
    names = {module.name for module in pkgutil.iter_modules(cli.__path__) if not module.name.startswith("_")}
    commands = {name: import_module(f"evalsuite.cli.{name}").command for name in names}
    taking = {name for name, command in commands.items() if any("--device" in p.opts for p in command.params)}
    assert taking == {"train", "sweep", "prune", "evaluate", "plan", "doctor"}


def test_doctor_judges_the_parent_there(run, parent, device, capsys):
    run("doctor", "--ckpt", parent, "--device", device, "--json")
    there = json.loads(capsys.readouterr().out)["parent"]
    run("doctor", "--ckpt", parent, "--device", "cpu", "--json")
    here = json.loads(capsys.readouterr().out)["parent"]
    assert there["n"] == here["n"] == 600
    assert there["loss"] == pytest.approx(here["loss"], abs=2 / 600)  # ties fall either way


def test_a_parent_that_was_trained_there_is_better_than_chance_here(parent, run, tmp_path):
    out = tmp_path / "run"
    run("evaluate", "--parent", parent, "--tasks", "clean", "--device", "cpu", "--out", out)
    (cell,) = [cell for cell in results(out)["cells"] if cell["measure"] == "error"]
    assert cell["n"] == 600
    assert cell["loss"] < 0.5


def test_a_sweep_ends_and_says_where_it_ran(swept, device):
    result = results(swept)
    assert result["complete"]
    assert ("CPU" in result["run"]["device"]) == (device.type != "cuda")
    assert {network["role"] for network in result["networks"]} >= {"parent", "pruned"}
    assert all(task["unavailable"] is None for task in result["tasks"])
    assert {cell["n"] for cell in result["cells"]} == {EXAMPLES}


def test_the_store_of_the_device_answers_on_the_cpu(swept, run, parent, tmp_path, capsys):
    """Observations are addressed by what was asked, never by where it was answered."""
    out = tmp_path / "run"
    shutil.copytree(swept, out)
    before = results(out)
    run("sweep", *pruned(parent, out, device="cpu"), *QUICK)
    assert "nothing to do" in capsys.readouterr().err
    (out / "results.json").unlink()
    run("sweep", *pruned(parent, out, device="cpu"), *QUICK)
    after = results(out)
    for part in ("cells", "potential", "networks", "deployable"):
        assert after[part] == before[part]


def test_a_store_is_gone_on_with_on_the_cpu(swept, run, parent, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(swept, out)
    run("sweep", *pruned(parent, out, device="cpu"), *QUICK, "--examples", 2 * EXAMPLES, "--amend")
    after = results(out)
    assert {cell["n"] for cell in after["cells"]} == {2 * EXAMPLES}
    assert after["complete"]
    assert after["networks"] == results(swept)["networks"]


def test_networks_of_the_device_fare_alike_on_the_cpu(swept, run, parent, tmp_path):
    files = sorted(file for file in (swept / "networks").iterdir() if "early" not in file.name)
    out = tmp_path / "run"
    run(
        "evaluate",
        "--parent",
        parent,
        "--candidates",
        ",".join(map(str, files)),
        *QUICK,
        "--device",
        "cpu",
        "--out",
        out,
    )
    digests = {network["digest"]: network["id"] for network in results(swept)["networks"]}
    names = {network["id"]: digests[network["digest"]] for network in results(out)["networks"]}
    there = {(c["task"], c["measure"], c["network"]): c["loss"] for c in results(swept)["cells"]}
    here = {(c["task"], c["measure"], names[c["network"]]): c["loss"] for c in results(out)["cells"]}
    assert len(here) > 20
    for cell, loss in here.items():
        # one example in which two classes were as good as equal
        assert there[cell] == pytest.approx(loss, abs=1.01 / EXAMPLES), cell


EXPORT = """
from pathlib import Path
import torch
from evalsuite.networks.checkpoints.checkpoint import read
network, images = read(Path({0!r})).network.eval(), torch.rand(2, 1, 8, 8)
shapes = ({{0: torch.export.Dim.DYNAMIC}},)
torch.export.save(torch.export.export(network, (images,), dynamic_shapes=shapes), {1!r})
torch.onnx.export(network, (images,), dynamo=True, dynamic_shapes=shapes, verbose=False).save({2!r})
"""


@pytest.fixture(scope="module")
def exported(parent, tmp_path_factory):
    """The parent as a program of torch.export and as an ONNX file, which runs on the CPU whatever the device is."""
    pytest.importorskip("onnxscript", reason="onnx is an optional extra")
    folder = tmp_path_factory.mktemp("exported")
    files = (folder / "program.pt2", folder / "network.onnx")
    code = EXPORT.format(*map(str, (parent, *files)))
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True)
    return files


def test_exported_files_are_the_network_on_the_device(exported, run, parent, device, tmp_path):
    out, (program, network) = tmp_path / "run", exported
    run(
        *(
            "evaluate",
            "--parent",
            parent,
            "--candidates",
            program,
            "--shipped",
            f"parent={network}",
            "--device",
            device,
        ),
        *("--tasks", "clean,noise/uniform/0.1,certified/l2/0.1?sigma=0.1&n=50&n0=10&alpha=0.01"),
        *("--examples", EXAMPLES, "--margin", 0.3, "--out", out),
    )
    (shipped,) = results(out)["shipped"]
    assert (shipped["verdict"], shipped["disagreements"]) == ("same outputs", 0)
    errors = {(c["task"], c["network"]): c["loss"] for c in results(out)["cells"] if c["measure"] == "error"}
    for task in ("clean", "noise/uniform/0.1"):
        assert errors[task, "program"] == errors[task, "parent"] == errors[task, "network.onnx"]


def test_prune_makes_on_the_device_what_a_sweep_finds(run, parent, device, tmp_path):
    out = tmp_path / "run"
    run("prune", *pruned(parent, out, device=device))
    files = {file.name: file.read_bytes() for file in (out / "networks").iterdir()}
    assert files
    run("sweep", *pruned(parent, out, device="cpu"), "--tasks", "clean", "--examples", EXAMPLES, "--margin", 0.3)
    assert {file.name: file.read_bytes() for file in (out / "networks").iterdir()} == files


def test_a_plan_is_made_without_work(run, parent, device, tmp_path, capsys):
    run("plan", *pruned(parent, tmp_path / "run", device=device), *QUICK)
    assert "certified/l2/0.1" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_training_again_gives_the_same_bits_on_a_cpu_and_early_weights_anywhere(run, parent, device, tmp_path):
    path = tmp_path / "again.safetensors"
    run("train", "--arch", "lenet5", "--data", "digits", "--epochs", 8, "--device", device, "--out", path)
    assert path.with_suffix(".early.safetensors").is_file()
    assert path.read_bytes() == parent.read_bytes() or device.type != "cpu"


@pytest.mark.parametrize("command", ["demo", "sweep", "prune", "evaluate", "train", "plan"])
def test_help(command, run, capsys):
    run(command, "--help")
    assert f"evalsuite {command}" in capsys.readouterr().out
