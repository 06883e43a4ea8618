"""Results are read as they were written, and nothing else is read."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evalsuite.errors import RefusedInputError
from evalsuite.records import schema, stored
from evalsuite.records.json_schema import json_schema
from evalsuite.records.schema import Measure, Results, parse_results

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "reports").rglob("results.json"))
Document = dict[str, object]


@pytest.fixture(scope="module")
def written() -> str:
    """What a run has written."""
    return (ROOT / "reports/robust-families/ibp/results.json").read_text()


@pytest.fixture
def document(written: str) -> Document:
    """The same, to be changed."""
    result: Document = json.loads(written)
    return result


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_every_study_is_read_and_written_again_to_the_last_byte(study: Path) -> None:
    text = study.read_text()
    again = parse_results(json.loads(text)).document()
    assert json.dumps(again, indent=1, allow_nan=False) + "\n" == text


def test_fields_have_the_names_of_keys(document: Document) -> None:
    before = json.loads(json.dumps(document))
    results = parse_results(document)
    assert document == before
    assert results.run.margin == document["run"]["margin"]
    assert [cell.verdict for cell in results.cells] == [row["verdict"] for row in document["cells"]]
    assert results.deployable is not None
    assert results.deployable.binding_task == document["deployable"]["binding_task"]
    assert results.data.shape == tuple(document["data"]["shape"])


def test_there_are_studies() -> None:
    assert len(STUDIES) > 10


def test_numbers_and_texts_keep_their_spelling(document: Document) -> None:
    document["run"] |= {"margin": 0, "seconds": 3, "command": "evalsuite \udcff", "versions": {"\udcff": "\ud83d"}}
    document["networks"][0]["prune_ratio"] = 0
    assert json.dumps(parse_results(document).document()) == json.dumps(document)


def test_what_a_later_version_has_written_is_kept(document: Document) -> None:
    document["cells"][0]["colour"] = {"r": [1, 2]}
    document["later"] = [None]
    assert parse_results(document).document() == document


def test_what_nobody_set_is_not_written(document: Document) -> None:
    del document["networks"][0]["uncounted"]
    assert "readings" not in document
    assert parse_results(document).document() == document
    assert parse_results(document).readings is None


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda r: r.update(schema="evalsuite-results/2"), "schema"),
        (lambda r: r.pop("schema"), "schema"),
        (lambda r: r.pop("cells"), "cells"),
        (lambda r: r["run"].pop("margin"), "run.margin"),
        (lambda r: r["run"].update(margin="x"), "run.margin"),
        (lambda r: r["run"].update(margin=[]), "run.margin"),
        (lambda r: r["run"].update(margin=True), "run.margin"),
        (lambda r: r["run"].update(confidence=1), "run.confidence"),
        (lambda r: r["data"].update(classes=5), "data.classes"),
        (lambda r: r["networks"].insert(0, 3), "networks.0"),
        (lambda r: r["networks"][0].update(prune_ratio={}), "networks.0.prune_ratio"),
        (lambda r: r["networks"][0].update(role="judge"), "networks.0.role"),
        (lambda r: r["networks"][0].update(sha256="f" * 63), "networks.0.sha256"),
        (lambda r: r["networks"][0].update(id=""), "networks.0.id"),
        (lambda r: r["cells"][0].update(loss="much"), "cells.0.loss"),
        (lambda r: r["cells"][0].update(loss=float("nan")), "cells.0.loss"),
        (lambda r: r["cells"][0].update(low=float("-inf")), "cells.0.low"),
        (lambda r: r["cells"][0].update(high=np.float64("nan")), "cells.0.high"),
        (lambda r: r["cells"][0].update(n=[1]), "cells.0.n"),
        (lambda r: r["cells"][0].update(n=0), "cells.0.n"),
        (lambda r: r["cells"][0].update(n=5.0), "cells.0.n"),
        (lambda r: r["cells"][0].update(n="5"), "cells.0.n"),
        (lambda r: r["cells"][0].update(task=None), "cells.0.task"),
        (lambda r: r["cells"][0].update(verdict="fine"), "cells.0.verdict"),
        (lambda r: r.update(cells={}), "cells"),
        (lambda r: r["potential"].insert(0, "x"), "potential.0"),
        (lambda r: r["potential"][0].update(first_failure={"ratio": "a"}), "potential.0.first_failure.ratio"),
        (lambda r: r["families"].insert(0, None), "families.0"),
        (lambda r: r["families"][0].update(deployable={"ratio": []}), "families.0.deployable.ratio"),
        (lambda r: r["tasks"][0].update(name=7), "tasks.0.name"),
        (lambda r: r["measures"][0].update(unit="furlongs"), "measures.0.unit"),
        (lambda r: r.update(warnings=3), "warnings"),
        (lambda r: r.update(complete=1), "complete"),
    ],
)
def test_what_is_not_as_it_has_to_be_is_refused_by_its_place(
    document: Document, change: Callable[[Document], object], place: str
) -> None:
    """It used to reach figures and tables, and end there in tracebacks."""
    change(document)
    with pytest.raises(RefusedInputError) as refused:
        parse_results(document)
    assert str(refused.value).startswith(f"expected evalsuite's results, got an error in {place!r}: ")
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 4


def test_the_published_schema_is_that_of_the_code() -> None:
    published = (ROOT / "docs/schema/evalsuite-results-1.json").read_text(encoding="utf-8")
    assert published == json_schema(), "`make schema` writes it anew"


def test_the_published_schema_tells_every_key_of_the_studies(written: str) -> None:
    published = json.loads(json_schema())
    items = {key: described.get("items", {}) for key, described in published["properties"].items()}
    tables = {key: each["$ref"].rpartition("/")[2] for key, each in items.items() if "$ref" in each}
    document = json.loads(written)
    assert document.keys() <= published["properties"].keys()
    for table, part in tables.items():
        described = published["$defs"][part]["properties"]
        for row in document[table]:
            assert row.keys() <= described.keys()


def test_results_cannot_be_changed(document: Document) -> None:
    results = parse_results(document)
    with pytest.raises(ValueError, match="frozen"):
        results.complete = False
    with pytest.raises(ValueError, match="unit"):
        Measure(name="error", unit="furlongs")
    assert isinstance(results, Results)


@pytest.mark.parametrize(
    ("kept", "part", "beyond"),
    [
        (stored.StoredRun, schema.Run, set()),
        (stored.StoredNetwork, schema.Network, set()),
        (stored.StoredFamily, schema.Family, set()),
        (stored.StoredTask, schema.Task, {"readings"}),
        (schema.OutputComparison, schema.Shipped, set()),
    ],
)
def test_whatever_the_store_holds_of_a_part_has_a_field(
    kept: type[schema.Part], part: type[schema.Part], beyond: set[str]
) -> None:
    assert kept.model_fields.keys() - part.model_fields.keys() == beyond


@pytest.mark.parametrize("key", ["run", "data", "parent", "members", "readings", "identity"])
def test_what_is_not_written_yet_is_none_and_no_null(key: str) -> None:
    assert getattr(stored.Meta(), key) is None
    with pytest.raises(ValueError, match="should not be null"):
        stored.Meta.model_validate({key: None})
