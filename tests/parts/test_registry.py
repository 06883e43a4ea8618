"""The folder is the registry."""

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from evalsuite.errors import UnknownNameError
from evalsuite.extend import Task
from evalsuite.parts.names import part_name
from evalsuite.parts.registry import find, names

pytestmark = pytest.mark.slow


def test_names_are_files():
    assert {"clean", "noise", "corruption", "adversarial", "certified"} <= set(names("evalsuite.tasks"))
    assert not any(name.startswith("_") for name in names("evalsuite.tasks"))


def test_nearest_names_are_told():
    with pytest.raises(UnknownNameError, match="'corruption'") as error:
        find("evalsuite.tasks", "corrupton", Task)
    assert "Did you mean" in str(error.value)
    assert "adversarial" in str(error.value)


def test_listing_imports_no_torch():
    code = "import sys; from evalsuite.parts.registry import names; names('evalsuite.tasks'); names('pruners')\n"
    code += "assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_parts_of_other_packages_are_found_named_and_used(tmp_path):
    (tmp_path / "sparsely.py").write_text(
        "from dataclasses import dataclass\n"
        "from pruners import WeightPruner, prunable\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Largest(WeightPruner):\n"
        "    power: float = 1.0\n"
        "    def score(self, network, context):\n"
        "        return {n: w.detach().abs() ** self.power for n, w in prunable(network).items()}\n"
    )
    facts = tmp_path / "sparsely-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: sparsely\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[evalsuite.pruners]\nthe-largest = sparsely:Largest\n")
    code = (
        "from evalsuite.parts.names import parse_part, part_name; from pruners import Pruner\n"
        "from evalsuite.parts.registry import names\n"
        "part = parse_part('pruners', 'the-largest?power=2', Pruner)\n"
        "assert (type(part).__name__, part.power) == ('Largest', 2.0)\n"
        "assert part_name(part) == 'the_largest?power=2' and parse_part('pruners', part_name(part), Pruner) == part\n"
        "assert 'the_largest' in names('pruners')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    listed = [sys.executable, "-m", "evalsuite", "list", "pruners"]
    text = subprocess.run(listed, check=True, env=environment, capture_output=True, text=True).stdout
    assert "the-largest" in text


def test_a_part_without_a_file_is_called_by_its_class():
    @dataclass(frozen=True)
    class FarFromTheMean:
        power: float = 1.0

    assert part_name(FarFromTheMean(power=2.0)) == "far_from_the_mean?power=2"
