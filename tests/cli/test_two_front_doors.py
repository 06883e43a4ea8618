"""The command line and the Python call: one rule for margins and presets, the same verdicts."""

import dataclasses
import json
import os
from inspect import signature
from typing import Literal, get_args, get_origin

import pytest
import torch

from evalsuite import api, pipeline
from evalsuite.cli.evaluate import command as cli_evaluate
from evalsuite.cli.sweep import command as cli_sweep
from evalsuite.config import build_inputs
from evalsuite.config.keywords import keywords
from evalsuite.config.options import OPTIONS, alternatives
from evalsuite.config.presets import PRESETS
from evalsuite.config.settings import EvaluationSettings
from evalsuite.config.spec import overridden, resolve
from evalsuite.data import load
from evalsuite.errors import UsageError
from evalsuite.networks.checkpoints.checkpoint import read
from evalsuite.networks.digest import network_digest, tensor_digest
from evalsuite.parts.names import part_name
from evalsuite.tasks.clean import Clean
from evalsuite.tasks.noise import Noise
from evalsuite.training.standard import Standard
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude
from pruners.regularisers.slimming import Slimming

pytestmark = pytest.mark.slow

SAME = ("tasks", "measures", "cells", "potential", "averages", "families", "deployable", "complete", "warnings")
OF_NETWORKS = ("id", "digest", "role", "prune_ratio", "flop_reduction", "seed")


def load_results(run):
    return json.loads((run / "results.json").read_text())


class CapturedError(Exception):
    """Ends a call when it has handed its request to the pipeline."""


@pytest.fixture
def captured(monkeypatch):
    """What would have been run: a dictionary for each call, equal where the calls ask for the same."""
    requests, readings = [], []
    read_candidate = build_inputs.read_candidate

    def reads(path, reading, inputs):
        readings.append(reading)
        return read_candidate(path, reading, inputs)

    def capture(inputs, requested, settings, *, origin, shipped=(), **_rest):
        candidates = requested if isinstance(requested, dict) else {}
        networks = {name: candidate.read() for name, candidate in candidates.items()}
        for each in shipped:
            each.read()
        requests.append(
            {
                "parent": network_digest(inputs.parent.network, inputs.parent.shape),
                "readings of files": readings[:],
                "inputs": inputs.interpretations,
                "data": (inputs.dataset.name, inputs.dataset.classes),
                "device": inputs.device,
                "separate": inputs.separate and network_digest(inputs.separate.network, inputs.separate.shape),
                "threads": torch.get_num_threads(),
                "making": networks or dataclasses.replace(requested, rewind_to=None),
                "early": getattr(requested, "rewind_to", None) and tensor_digest(requested.rewind_to),
                "evaluation": settings,
                "caution": (origin.strict, origin.accepted, origin.accept_parent, origin.full_paths, origin.amend),
                "shipped": [(each.id, each.tested_as, each.path) for each in shipped],
            }
        )
        if networks:
            requests[-1]["making"] = {name: network_digest(c.network, c.shape) for name, c in networks.items()}
        readings.clear()
        raise CapturedError

    monkeypatch.setattr(build_inputs, "read_candidate", reads)
    monkeypatch.setattr(pipeline, "run", capture)
    monkeypatch.setattr(pipeline, "evaluate", capture)
    before = torch.get_num_threads()
    yield requests
    torch.set_num_threads(before)


def typed(options):
    """Keywords as they are typed on the command line."""
    words = []
    for option, value in options.items():
        flag = f"--{option.replace('_', '-')}"
        pairs = [f"{k}={v}" for k, v in value.items()] if isinstance(value, dict) else value
        text = ",".join(map(str, pairs)) if isinstance(pairs, list) else str(pairs)
        words += [flag] if value is True else [flag, text]
    return words


def numbers_and_choices(command, groups):
    """Values of those options of `command` that no group has and whose type says what is accepted."""
    values = {}
    for name in set(keywords(command)).difference({"slices"}, *groups):
        (kind, *_), bounds = alternatives(OPTIONS[name].type), OPTIONS[name].option.bounds
        if get_origin(kind) is Literal:
            values[name] = get_args(kind)[-1]
        else:
            values[name] = {bool: True, int: bounds.get("ge", 0) + 1, float: bounds.get("ge", 0) + 0.25}[kind]
    return values


@pytest.fixture(scope="module")
def both(tmp_path_factory, checkpoint):
    """A value for every option that both doors of both commands have, in groups that go together."""
    folder = tmp_path_factory.mktemp("options")
    (folder / "policy.toml").write_text('[policy]\nmin_deployable = 0.5\nassumptions = ["normalisation"]\n')
    (folder / "slices.csv").write_text("site\n" + "a\nb\n" * (len(load("digits").test) // 2) + "a\n")
    weights = read(checkpoint).network.state_dict()
    torch.save({"model": weights, "ema": weights}, folder / "two.pt")
    evaluation = {
        "preset": "standard",
        "classes": "data",
        "strict": True,
        "assume": ["class order", "normalisation"],
        "accept_parent": True,
        "trust": [f"sha256:{'0' * 64}"],
        "device": "cpu",
        "threads": 1,
        "engine": "local",
        "tasks": ["noise/uniform/0.1", "clean"],
        "measures": ["error", "calibration"],
        "require": ["clean"],
        "margin": 0.1,
        "margin_for": {"clean": 0.2},
        "confidence": 0.9,
        "examples": 60,
        "examples_for": {"noise": 20},
        "seed": 3,
        "separate": checkpoint,
        "full_paths": True,
    }
    pruning = {
        "pruner": ["magnitude?allocation=erk", "random"],
        "ratios": [0.5, 0.9],
        "budget": "flops",
        "schedule": "cascade",
        "retrain": "standard",
        "epochs": 1,
        "rewind": "none",
        "adapters": 2,
        "regularise": ["slimming"],
        "controls": ["dense", "shuffled"],
        "seeds": 2,
    }
    foreign = {"arch": "lenet5", "weights": "ema", "normalise": "data", "gate": folder / "policy.toml"}
    early = {"early": checkpoint, "rewind": "weights", "retrain": "standard"}
    groups = {
        "sweep": [(checkpoint, {**evaluation, **pruning}), (folder / "two.pt", {**foreign, **early})],
        "evaluate": [
            (checkpoint, {**evaluation, "artefact_input": "images"}),
            (folder / "two.pt", {**foreign, "slices": folder / "slices.csv"}),
        ],
    }
    for command, of_command in groups.items():
        of_command[0][1].update(numbers_and_choices(command, [options for _, options in of_command]))
    return {**groups, "slices": folder / "slices.csv"}


@pytest.mark.parametrize(("name", "command"), [("sweep", cli_sweep), ("evaluate", cli_evaluate)])
def test_every_option_of_the_command_line_is_a_keyword(both, name, command):
    arguments = {"ckpt", "candidates", "shipped", "data", "config", "out", "amend", "as_json", "debug"}
    options = {parameter.name for parameter in command.params} - arguments
    assert set(keywords(name)) == options
    function = getattr(api, name)
    assert options < signature(function).parameters.keys()
    assert all(f"    {option}: {OPTIONS[option].option.help}" in function.__doc__ for option in options)
    assert options <= OPTIONS.keys()
    tried = {option for _, group in both[name] for option in group}
    # of slices the other command tries it: both read the file by the same function
    assert tried | {"slices"} == options


@pytest.mark.parametrize("group", [0, 1])
def test_every_option_of_a_sweep_means_the_same(evalsuite, captured, both, tmp_path, group):
    network, options = both["sweep"][group]
    ended = evalsuite("sweep", "--ckpt", network, "--data", "digits", *typed(options), "--out", tmp_path / "a")
    assert len(captured) == 1, ended.err
    with pytest.raises(CapturedError):
        api.sweep(network, "digits", out=tmp_path / "b", **options)
    assert captured[1] == captured[0]


@pytest.mark.parametrize("group", [0, 1])
def test_every_option_of_an_evaluation_means_the_same(evalsuite, captured, both, state_dict, tmp_path, group):
    network, options = both["evaluate"][group]
    options = {**options, "arch": "lenet5"} if group == 0 else options
    files = ("--candidates", state_dict, "--shipped", f"{state_dict.stem}={state_dict}")
    ended = evalsuite("evaluate", "--parent", network, *files, "--data", "digits", *typed(options), "--out", tmp_path)
    assert len(captured) == 1, ended.err
    shipped = {state_dict.stem: state_dict}
    with pytest.raises(CapturedError):
        api.evaluate(network, [state_dict], "digits", out=tmp_path, shipped=shipped, **options)
    assert captured[1] == captured[0]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("options", [{}, {"margin": 0.1}, {"margin": 0.1, "margin_for": {"adversarial": 0.3}}])
def test_every_preset_asks_the_same(evalsuite, checkpoint, lenet, captured, tmp_path, preset, options):
    ended = evalsuite("sweep", "--ckpt", checkpoint, "--preset", preset, *typed(options), "--out", tmp_path / "a")
    assert len(captured) == 1, ended.err
    with pytest.raises(CapturedError):
        api.sweep(lenet, "digits", out=tmp_path / "b", preset=preset, **options)
    by_hand, by_python = captured
    evaluation = by_hand["evaluation"]
    assert by_python["evaluation"] == evaluation
    margins = options.get("margin_for", {} if options else PRESETS[preset].get("margin_for", {}))
    assert evaluation.margin_for == margins
    making, made_by_python = by_hand["making"], by_python["making"]
    # a recipe may be prescribed for an architecture, which a network from Python does not tell
    assert dataclasses.replace(made_by_python, recipe=None) == dataclasses.replace(making, recipe=None)
    assert (made_by_python.recipe is None) == (making.recipe is None)


def test_parts_stand_beside_names(captured, lenet, tmp_path):
    class Mine(Magnitude):
        """A method that no registry knows."""

    recipe = Standard(epochs=7, learning_rate=0.5)
    with pytest.raises(CapturedError):
        api.sweep(
            lenet,
            "digits",
            out=tmp_path,
            pruner=["filter-norm", Mine()],
            tasks=[Noise(level=0.3), "clean,noise/uniform/0.1", "corruption/fog/1-2"],
            retrain=recipe,
            regularise=Slimming(weight=0.1),
            epochs=2,
            preset="standard",
        )
    (request,) = captured
    making = request["making"]
    assert making.pruners == (FilterNorm(), Mine())
    assert type(making.pruners[1]) is Mine
    assert making.recipe == dataclasses.replace(recipe, epochs=2)
    assert (making.one_shot, making.full) == (False, None)
    assert making.regularisers == (Slimming(weight=0.1),)
    tasks = ["clean", "noise/uniform/0.1", "corruption/fog/1", "corruption/fog/2", "noise/uniform/0.3"]
    assert [part_name(task) for task in request["evaluation"].tasks] == tasks


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exampels": 5}, r"expected the name of an option, got 'exampels'. Did you mean 'examples'"),
        ({"judging": None}, "got 'judging'"),
        ({"out_": 1}, "got 'out_'"),
        ({"tasks": [3]}, "tasks: expected names or parts that are Tasks, got 3"),
        ({"pruner": 3}, "pruner: expected names or parts that are Pruners, got 3"),
        ({"margin": 3}, "--margin: expected a number < 1.0, got 3$"),
        ({"preset": "quik"}, "Did you mean 'quick'"),
        ({"data": None}, "expected a data set"),
        ({"examples": 5, "evaluation_settings": EvaluationSettings(tasks=(Clean(),))}, "leave out examples"),
    ],
)
def test_what_no_call_takes_is_told_before_any_work(lenet, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        api.sweep(lenet, **{"data": "digits", "out": tmp_path / "run", **options})
    assert not (tmp_path / "run").exists()


def test_the_file_of_a_network_takes_data_by_name(checkpoint, tmp_path):
    with pytest.raises(UsageError, match="expected the name of a data set"):
        api.sweep(checkpoint, load("digits"), out=tmp_path / "run")
    with pytest.raises(UsageError, match="expected other names than that of another network, got 'parent'"):
        api.evaluate(checkpoint, {"parent": checkpoint}, out=tmp_path / "run")
    with pytest.raises(UsageError, match="Did you mean 'half'"):
        api.evaluate(checkpoint, {"half": checkpoint}, out=tmp_path / "run", shipped={"halve": checkpoint})
    assert not (tmp_path / "run").exists()


def test_all_settings_of_the_evaluation_in_one_value(captured, lenet, tmp_path):
    settings = EvaluationSettings(tasks=(Clean(),), margin=0.3, examples=7)
    with pytest.raises(CapturedError):
        api.sweep(lenet, "digits", out=tmp_path, ratios=[0.5], margin=None, evaluation_settings=settings)
    assert captured[0]["evaluation"] is settings


def test_threads_are_given_back(captured, lenet, tmp_path):
    before = torch.get_num_threads()
    with pytest.raises(CapturedError):
        api.sweep(lenet, "digits", out=tmp_path, threads=before + 1)
    assert captured[0]["threads"] == before + 1
    assert torch.get_num_threads() == before


def test_pruning_options_are_none_of_an_evaluation(lenet, tmp_path):
    with pytest.raises(UsageError, match="got 'ratios'"):
        api.evaluate(lenet, {}, "digits", out=tmp_path, ratios=[0.5])


def test_the_same_results(evalsuite, checkpoint, tmp_path):
    small = ("--ratios", "0.5,0.9", "--examples", "60", "--examples-for", "adversarial=20")
    tasks = "clean,noise/gaussian/0.1,adversarial/linf/0.0078?attack=pgd"
    line = ("sweep", "--ckpt", checkpoint, "--preset", "quick", *small, "--tasks", tasks, "--margin", "0.1")
    ended = evalsuite(*line, "--out", tmp_path / "typed")
    assert ended.code == 0, ended.err
    messages = [line for line in ended.err.splitlines() if line.startswith("margin:")]
    rule = "margin: 0.1 for every task, as given; the preset quick has adversarial=0.02"
    assert messages == [f"{rule}, which --margin-for adversarial=0.02 keeps"]
    api.sweep(
        read(checkpoint).network,
        "digits",
        out=tmp_path / "called",
        preset="quick",
        ratios=(0.5, 0.9),
        tasks=tasks.split(","),
        examples=60,
        examples_for={"adversarial": 20},
        margin=0.1,
    )
    by_hand, by_python = (load_results(tmp_path / run) for run in ("typed", "called"))
    assert {task["margin"] for task in by_hand["tasks"]} == {0.1}
    for task in (*by_python["tasks"], *by_hand["tasks"]):
        del task["seconds"]
    for key in SAME:
        assert by_python[key] == by_hand[key], key
    for one, other in zip(by_python["networks"], by_hand["networks"], strict=True):
        assert {key: one[key] for key in OF_NETWORKS} == {key: other[key] for key in OF_NETWORKS}


def test_the_same_results_of_an_evaluation(evalsuite, checkpoint, lenet, tmp_path):
    candidate = tmp_path / "candidate.safetensors"
    candidate.write_bytes(checkpoint.read_bytes())
    line = ("evaluate", "--parent", checkpoint, "--candidates", candidate, "--shipped", f"candidate={candidate}")
    ended = evalsuite(*line, "--tasks", "clean", "--examples", "40", "--out", tmp_path / "typed")
    assert ended.code == 0, ended.err
    by_file = api.evaluate(
        checkpoint, [candidate], out=tmp_path / "called", shipped={"candidate": candidate}, tasks="clean", examples=40
    )
    by_hand, results = load_results(tmp_path / "typed"), by_file.summary
    for summary in (by_hand, results):
        for task in summary["tasks"]:
            del task["seconds"]
    for key in (*SAME, "shipped"):
        assert results[key] == by_hand[key], key
    in_memory = {"candidate": lenet}
    handed = api.evaluate(lenet, in_memory, "digits", out=tmp_path / "handed", tasks="clean", examples=40)
    assert handed.summary["cells"] == [c for c in by_hand["cells"] if c["network"] in {"parent", "candidate"}]


@pytest.mark.parametrize(
    ("given", "margins", "sentence"),
    [
        ({}, {"adversarial": 0.02}, False),
        ({"margin": 0.1}, {}, True),
        ({"margin": 0.1, "tasks": ("clean",)}, {}, False),  # of no task that is asked
        ({"margin": 0.1, "margin_for": {"adversarial": 0.02}}, {"adversarial": 0.02}, False),
        ({"margin": 0.1, "margin_for": {}}, {}, False),  # as a run file spells it
        ({"margin": 0.1, "preset": "paper"}, {}, False),
    ],
)
def test_a_margin_by_hand_is_that_of_every_task(given, margins, sentence):
    spec = resolve({"ckpt": "m.safetensors", **given})
    assert spec.margin_for == margins
    assert (overridden(given, spec) is not None) == sentence


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
