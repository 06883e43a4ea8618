"""Figures that are no shares: nowhere in percent, and named by their unit."""

import re
from collections.abc import Sequence

import pytest

from evalsuite.errors import RefusedInputError
from evalsuite.records.schema import parse_results
from evalsuite.report.page import Picture, render


def rendered(document: dict[str, object], pictures: Sequence[Picture] = ()) -> str:
    """The page of these results, read as a file is."""
    return render(parse_results(document), pictures)


MEASURES = [
    {"name": "error", "title": "error", "unit": "share", "required": True},
    {"name": "nll", "title": "negative log-likelihood", "unit": "nats", "required": False},
]


def results(made, *measures):
    result = made(measures=measures, corruptions=(), ratios=(0.5, 0.9), n=500)
    for row in result["cells"]:
        if row["measure"] == "nll":
            row.update(loss=1.5, low=1.25, high=1.75, parent_loss=1.375, difference=0.125)
            row.update(difference_low=0.0625, difference_high=0.1875)
    return {**result, "measures": MEASURES}


def test_the_table_tells_nats(made) -> None:
    page = rendered(results(made, "error", "nll"))
    (block,) = re.findall(r'data-name="clean:nll">(.*?)</tbody>', page, re.DOTALL)[:1]
    assert "in nats" in block
    assert "parent 1.3750" in block
    assert "1.5000 [1.2500, 1.7500]" in block
    assert "+0.1250 [+0.0625, +0.1875]" in block
    assert "150.00" not in page
    assert "nll (negative log-likelihood, in nats)" in page


def test_charts_of_nats_are_named_so(made) -> None:
    page = rendered(results(made, "nll"))
    assert "clean:nll, nats" in page
    assert "1.5000" in page
    assert "+0.12" in page  # the map: +12 would be points
    assert "150.00" not in page


def test_an_unknown_unit_is_refused(made) -> None:
    with pytest.raises(RefusedInputError, match=r"'measures\.0\.unit': .*'share' or 'nats', got 'furlongs'"):
        rendered({**results(made, "error"), "measures": [{"name": "error", "unit": "furlongs"}]})
