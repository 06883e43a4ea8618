"""Every option, found by scanning the declarations: it changes what it is declared to affect, and nothing else."""

from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
import torch

from evalsuite.cli._rerun import request_digest
from evalsuite.config.options import OPTIONS, EvaluationOptions, PruningOptions, Spec, alternatives, declared
from evalsuite.config.presets import PRESETS
from evalsuite.config.settings import EvaluationSettings, PruningSettings
from evalsuite.config.spec import digest, read_config, resolve, to_toml
from evalsuite.data._slices import Slices
from evalsuite.errors import UsageError
from evalsuite.tasks.clean import Clean
from evalsuite.tasks.noise import Noise
from evalsuite.training.standard import Standard
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude
from pruners.regularisers.nrs import Nrs

pytestmark = pytest.mark.slow

MEANT = {
    "data": ("digits", "diabetes"),
    "preset": ("quick", "paper"),
    "ratios": ((0.5,), (0.5, 0.75)),
    "margin_for": ({"clean": 0.25}, {"clean": 0.5}),
}
"""Values of options whose type alone does not say what is accepted."""


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A folder with two files that options may name."""
    for file in ("first", "second"):
        (tmp_path / file).write_text(file)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def two_values(name):
    """Two values that an option accepts, the default among them only by chance."""
    if name in MEANT:
        return MEANT[name]
    kind, *_ = alternatives(OPTIONS[name].type)
    if get_origin(kind) is Literal:
        return get_args(kind)[0], get_args(kind)[-1]
    if get_origin(kind) is tuple:
        (member, *_) = get_args(kind)
        first, *_, last = get_args(member) or ("one", "other")
        return (first,), (first, last)
    bounds = OPTIONS[name].option.bounds
    return {
        Path: (Path("first"), Path("second")),
        bool: (False, True),
        str: ("one", "other"),
        int: (bounds.get("ge", 0) + 1, bounds.get("ge", 0) + 2),
        float: (0.625, 0.75),
    }.get(kind, ({"clean": 2}, {"clean": 3}))


def spec_with(name, value):
    """All options are given, so that a preset adds nothing to its name."""
    given = resolve({"ckpt": "first", "data": "digits", "tasks": ("clean",), "ratios": (0.5,)}).document()
    return resolve({**given, name: value})


@pytest.mark.parametrize("name", OPTIONS)
def test_a_request_changes_with_what_affects_its_outcome_and_with_nothing_else(house, name):
    one, other = (request_digest(spec_with(name, value)) for value in two_values(name))
    assert one is not None
    assert (one == other) == (OPTIONS[name].option.affects == "nothing")


@pytest.mark.parametrize("name", [name for name, each in OPTIONS.items() if Path in alternatives(each.type)])
def test_files_count_by_their_content_not_by_their_path(house, name):
    first = request_digest(spec_with(name, Path("first")))
    (house / "second").write_text("first")
    assert request_digest(spec_with(name, Path("second"))) == first
    (house / "second").write_text("changed")
    same = request_digest(spec_with(name, Path("second"))) == first
    assert same == (OPTIONS[name].option.affects == "nothing")


PRUNING = PruningSettings(pruners=(Magnitude(),), ratios=(0.5,))
EVALUATION = EvaluationSettings(tasks=(Clean(),), measures=("error",))
TENSORS = {"weight": torch.ones(2)}
TABLE = Slices(path=Path("a.csv"), digest="ab", attributes=(), rows=(), ids=None, last_line=1)
PARTS = {
    "pruners": (FilterNorm(),),
    "one_shot": True,
    "recipe": Standard(),
    "full": Standard(epochs=3),
    "rewind_to": TENSORS,
    "regularisers": (Nrs(),),
    "tasks": (Noise(distribution="gaussian", level=0.1),),
    "measures": ("error", "brier"),
    "required": ("clean",),
    "slices": TABLE,
}
"""Another value of each field that holds parts."""


def with_another(settings, name):
    """`settings` with another value of the field called `name`."""
    values = (PARTS[name],) if name in PARTS else two_values(name)
    return replace(settings, **{name: next(value for value in values if value != getattr(settings, name))})


@pytest.mark.parametrize(
    ("settings", "name"), [(each, field.name) for each in (PRUNING, EVALUATION) for field in fields(each)]
)
def test_the_identity_of_a_run_tells_every_setting(settings, name):
    assert digest(settings.identity()) != digest(with_another(settings, name).identity())


@pytest.mark.parametrize("each", [*declared(PruningSettings)], ids=lambda each: each.name)
def test_addresses_tell_what_each_network_depends_on(each):
    other = replace(PRUNING, rewind="none") if each.name == "rewind" else with_another(PRUNING, each.name)
    assert (digest(PRUNING.address()) != digest(other.address())) == (each.address.key is not None)


def test_of_evaluation_only_the_seed_affects_networks():
    # addresses tell it beside the settings of pruning, which are all about networks
    assert {each.name for each in declared(EvaluationOptions) if each.option.affects == "networks"} == {"seed"}
    assert {each.option.affects for each in declared(PruningOptions)} == {"networks"}


KEPT = [
    *("662313ed3e76", "a34009df3b91", "40b6fd3a342c", "bbb0e9a62755", "f571daf73c57"),
    *("34b153d78284", "037eb56bb8de", "275688f45421", "a35283b4ef35", "d69ae30c5d72"),
    *("1413c9472b80", "0786c85c2b4d", "78fe8d0f3a53", "25f4b9aa769e"),
]
"""Of identities, addresses and requests: what the code before wrote that put these by hand."""


def test_digests_of_earlier_runs_stay():
    """A run that is kept has to be recognised, and none of its networks made anew."""
    early = replace(
        PRUNING, recipe=Standard(), full=Standard(), rewind="weights", rewind_to=TENSORS, controls=("scratch",), seeds=2
    )
    tuned = replace(early, rewind="none", adapters=2, regularisers=(Nrs(),))
    sliced = replace(EVALUATION, slices=TABLE, margin_for={"b": 0.1, "a": 0.2})
    digests = [digest(each.identity()) for each in (PRUNING, early, tuned, EVALUATION, sliced)]
    digests += [digest(each.address()) for each in (PRUNING, early, tuned)]
    given = {"early": Path("c"), "assume": ("d",), "trust": ("e",), "threads": 2, "margin": 0.25, "epochs": 3}
    for spec in (resolve({"ckpt": "a", **more}) for more in (*({"preset": name} for name in PRESETS), given)):
        digests.append(digest({name: value for name, value in spec.canonical().items() if name != "ckpt"}))
    assert [each[:12] for each in digests] == KEPT


def test_what_is_new_is_in_no_digest_while_it_is_at_its_default():
    assert {"slices", "separate"}.isdisjoint(resolve({"ckpt": "a"}).canonical())
    assert "full" not in PRUNING.identity()
    assert "slices" not in EVALUATION.identity()


def typed(value):
    """A value as it is typed."""
    if isinstance(value, dict):
        return ",".join(f"{key}={each}" for key, each in value.items())
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


COMMANDS = [(command, name) for name, each in OPTIONS.items() for command in sorted(each.option.commands)]


@pytest.mark.parametrize(("command", "name"), COMMANDS)
def test_an_option_is_a_flag_and_a_variable_of_its_commands(house, monkeypatch, command, name):
    function = import_module(f"evalsuite.cli.{command}").command
    value = two_values(name)[1]
    flag = f"--{name.replace('_', '-')}"
    given = [flag] if value is True else [flag, typed(value)]
    rest = ["--parent", "first"] if command == "evaluate" else []
    by_flag = function.make_context(command, [*given, *rest]).params[name]
    monkeypatch.setenv(f"EVALSUITE_{command.upper()}_{name.upper()}", typed(value))
    by_variable = function.make_context(command, rest, auto_envvar_prefix=f"EVALSUITE_{command.upper()}").params[name]
    assert getattr(spec_with(name, by_flag), name) == getattr(spec_with(name, by_variable), name) == value
    assert OPTIONS[name].option.help in {param.help for param in function.params if param.name == name}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_a_key_of_run_files(house, name):
    spec = spec_with(name, two_values(name)[1])
    (house / "run.toml").write_text(to_toml(spec.document()))
    assert resolve(read_config(house / "run.toml")) == spec


@pytest.mark.parametrize("name", [name for name, each in OPTIONS.items() if each.option.bounds])
def test_a_number_out_of_bounds_is_refused(name):
    for bound, limit in OPTIONS[name].option.bounds.items():
        beyond = {"ge": limit - 1, "gt": limit, "le": limit + 1, "lt": limit}[bound]
        with pytest.raises(UsageError, match=f"--{name.replace('_', '-')}: expected a number .*got {beyond}"):
            spec_with(name, beyond)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_hold_accepted_options(preset):
    spec = resolve({"ckpt": "a", "preset": preset})
    assert spec == resolve({"ckpt": "a", "preset": preset, **PRESETS[preset]})
    assert isinstance(spec, Spec)
