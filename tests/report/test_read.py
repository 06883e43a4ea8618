import json
from copy import deepcopy

import numpy as np
import pytest

from evalsuite.errors import UsageError
from evalsuite.report._index import indexed
from evalsuite.report._read import read

Row = dict[str, object]


def test_reads_what_stands_there(tiny: Row) -> None:
    before = deepcopy(tiny)
    results = read(tiny)
    assert tiny == before
    assert results.run.margin == 0.005
    assert [c.verdict for c in results.cells] == ["commensurate"] * 3 + ["inconclusive"]
    assert results.deployable is not None
    assert results.deployable.binding_task == "corruption/fog/3"
    assert results.potential[1].first_failure is not None
    assert results.data.shape == (1, 8, 8)


def test_what_is_no_number_is_not_measured(tiny: Row) -> None:
    tiny["cells"][0] |= {"loss": float("nan"), "low": float("-inf"), "high": np.float64("nan"), "n": np.int64(7)}
    cell = read(tiny).cells[0]
    assert (cell.loss, cell.low, cell.high, cell.n) == (None, None, None, 7)


def test_characters_that_no_file_can_hold(tiny: Row) -> None:
    tiny["tasks"][0]["title"] = "a\x00b\x1b[31m\ud800\u202e\n"
    assert read(tiny).tasks[0].title == r"a\x00b\x1b[31m\ud800\u202e\n"


def test_refusals(tiny: Row) -> None:
    with pytest.raises(UsageError, match="expected results of schema 'evalsuite-results/1', got 'other/2'"):
        read(tiny | {"schema": "other/2"})
    with pytest.raises(UsageError, match="expected 'margin' under 'run'"):
        read(tiny | {"run": {"id": "r", "confidence": 0.95}})
    with pytest.raises(UsageError, match="expected a list under 'cells', got dict"):
        read(tiny | {"cells": {}})
    with pytest.raises(UsageError, match="expected an object under 'tasks', got str"):
        read(tiny | {"tasks": ["clean"]})
    with pytest.raises(UsageError, match=r"expected verdict under 'cells' to be out of .*, got 'fine'"):
        read(tiny | {"cells": [{"task": "a", "measure": "error", "network": "n", "verdict": "fine"}]})


def test_index_orders_and_finds(tiny: Row) -> None:
    tiny["networks"].reverse()
    tiny["tasks"].reverse()
    tiny["cells"].insert(0, tiny["cells"][0] | {"measure": "disagreement"})
    found = indexed(read(tiny))
    assert [n.id for n in found.lines[0].networks] == ["a", "b"]
    assert [g.kind for g in found.groups] == ["clean", "corruption"]
    assert found.measures["clean"] == ("error", "disagreement")
    cell = found.cell("clean", "b")
    assert cell is not None
    assert cell.difference == 0.001
    assert found.cell("clean", "nobody") is None


def test_families_that_are_not_listed_are_seen(tiny: Row) -> None:
    found = indexed(read(tiny | {"families": []}))
    assert [line.family.id for line in found.lines] == ["magnitude-0"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("run", "margin"), "x"), (("run", "margin"), []), (("data", "classes"), 5), (("networks", 0), 3),
        (("networks", 0, "prune_ratio"), {}), (("cells", 0, "loss"), "much"), (("cells", 0, "n"), [1]),
        (("cells", 0, "task"), None), (("potential", 0), "x"), (("potential", 0, "first_failure"), {"ratio": "a"}),
        (("families", 0), None), (("families", 0, "deployable"), {"ratio": []}), (("tasks", 0, "name"), 7),
        (("measures",), [{"name": "a", "unit": 5}]), (("warnings",), 3),
    ],
)  # fmt: skip
def test_values_of_another_type_are_refused_in_one_line(tiny: Row, path: tuple[str | int, ...], value: object) -> None:
    """They used to reach figures and tables, and end there in tracebacks."""
    changed = json.loads(json.dumps(tiny))
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(UsageError, match=r"expected .* got"):
        read(changed)
