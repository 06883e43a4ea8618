"""What a part is called finds it again, whatever kind of part it is."""

import pytest

from evalsuite.extend import Metric, Recipe, Task
from evalsuite.parts.names import parse_part, part_kind, part_name
from evalsuite.parts.registry import find, names
from pruners import Pruner
from pruners.regularisers import Regulariser

FOLDERS = {
    "evalsuite.tasks": Task,
    "evalsuite.measures": Metric,
    "evalsuite.training": Recipe,
    "pruners": Pruner,
    "pruners.regularisers": Regulariser,
}
NEEDED = {
    "corruption": {"corruption": "fog"},
    "ood": {"outliers": "noise"},
    "shift": {"layout": "npz", "at": "night.npz"},
}
"""Fields that have no default."""
PARTS = [(folder, name) for folder in FOLDERS for name in names(folder)]


@pytest.mark.parametrize(("folder", "name"), PARTS)
def test_names_come_back(folder, name):
    part = find(folder, name, FOLDERS[folder])(**NEEDED.get(name, {}))
    text = part_name(part)
    assert part_kind(part).replace("-", "_") == name
    assert parse_part(folder, text, FOLDERS[folder]) == part
