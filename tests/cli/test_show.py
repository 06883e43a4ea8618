"""Every part of every kind can be shown: what it is, its settings, where it comes from, how it is typed."""

import dataclasses
import json

import pytest

from evalsuite.cli._parts import KINDS, attributes, without_attributes
from evalsuite.cli.list import _listed
from evalsuite.config.presets import PRESETS
from evalsuite.networks.architectures.by_name import BUILT_IN

EVERY = [f"{kind}/{name}" for kind in (*KINDS, "networks", "presets") for name in _listed(kind)]
FURTHER = [
    "networks/torchvision:resnet18",
    "networks/timm:resnet18",
    "corruption/fog/3",
    "corruption/common/1-5",
    "tasks/corruption/fog/3",
    "clean",
    "adversarial/linf/0.03?attack=pgd",
    "pruners/filter-norm",
]


@pytest.mark.parametrize("what", [*EVERY, *FURTHER])
def test_it_is_shown(evalsuite, what):
    ended = evalsuite("show", what)
    assert ended.code == 0, ended.err
    title, text, *_ = ended.out.splitlines()
    assert what.rpartition("/")[2] in title
    assert text
    if not what.startswith("problems/"):  # they come with the data
        assert "typed:" in ended.out
    document = json.loads(evalsuite("show", what, "--json").out)
    assert document["name"] == title
    for setting in document["settings"]:
        assert f"\n{setting['name']} " in ended.out


def test_every_kind_is_tried():
    assert len(EVERY) >= 130
    assert {what.partition("/")[0] for what in EVERY} == {*KINDS, "networks", "presets"}


@pytest.mark.parametrize("what", [w for w in EVERY if w.partition("/")[0] in KINDS])
def test_settings_are_those_of_the_part_and_explained(evalsuite, what):
    kind, _, name = what.partition("/")
    part = KINDS[kind].named(name)
    document = json.loads(evalsuite("show", what, "--json").out)
    assert [row["name"] for row in document["settings"]] == [f.name for f in dataclasses.fields(part) if f.init]
    if kind not in {"attacks", "corruptions"}:  # whose settings the task has, and explains
        assert all(row["meaning"] for row in document["settings"]), document["settings"]


def test_numbers_of_a_known_part(evalsuite):
    result = json.loads(evalsuite("show", "pruners/synflow", "--json").out)
    (row,) = result["settings"]
    assert (row["name"], row["default"]) == ("iterations", "100")
    assert row["meaning"] == "Number of steps n, at least 1; the paper takes 100."
    assert result["source"] == "pruners.synflow:SynFlow; Tanaka et al. 2020, arXiv:2006.05467"
    assert result["examples"] == ["--pruner synflow", "--pruner 'synflow?iterations=100'"]
    shown = evalsuite("show", "networks/torchvision:resnet18").out
    assert "3x224x224" in shown
    assert "0.485, 0.456, 0.406" in shown  # ImageNet's
    preset = json.loads(evalsuite("show", "presets/standard", "--json").out)
    assert {row["name"] for row in preset["settings"]} == {f"--{k.replace('_', '-')}" for k in PRESETS["standard"]}


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("pruners/synflo", "'synflow'"),
        ("networks/resnet18", "'torchvision:resnet18' or 'timm:resnet18'"),
        ("networks/torchvision:resnet81", "'resnet18'"),
        ("resnet8", "'networks/resnet8'"),
        ("standard", "'recipes/standard' or 'presets/standard'"),
        ("presets/standart", "'standard'"),
        ("corruption/fogg/3", "'fog'"),
        ("whatever", "networks/NAME"),
        ("pruners", "pruners/NAME"),
    ],
)
def test_unknown_names_are_told_the_nearest(evalsuite, what, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a folder of that name would be taken for a run
    ended = evalsuite("show", what)
    assert ended.code == 2
    assert named in ended.err
    assert len(ended.err.splitlines()) == 1


def test_sections_of_docstrings():
    doc = "One.\n\nTwo.\n\nAttributes:\n    a: First,\n        second: third.\n    b: Fourth.\n\nRaises:\n    Nothing."
    assert attributes(doc) == {"a": "First, second: third.", "b": "Fourth."}
    assert without_attributes(doc) == "One.\n\nTwo.\nRaises:\n    Nothing."
    assert attributes("One.") == {}
    assert set(attributes(type(BUILT_IN["resnet8"]).__doc__.replace("\n    ", "\n"))) == {"depth", "width", "shortcut"}
