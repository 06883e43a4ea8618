"""No part imports its neighbour, directly or through another file: each can be read, or deleted, alone."""

from itertools import permutations

import grimp
import pytest

from evalsuite.parts.registry import names

FOLDERS = (
    *("evalsuite.corruptions", "evalsuite.export", "evalsuite.measures", "evalsuite.report.sections"),
    *("evalsuite.tasks", "evalsuite.training", "pruners"),
)


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("evalsuite", "pruners", "neuralnets")


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_part_imports_its_neighbour(imports: grimp.ImportGraph, folder: str) -> None:
    parts = [f"{folder}.{name}" for name in names(folder)]
    assert len(parts) > 1
    pairs = permutations(parts, 2)
    assert [(a, b) for a, b in pairs if imports.chain_exists(importer=a, imported=b)] == []
