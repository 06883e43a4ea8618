"""What the page says of shipped files: the verdict, and loudly where a file is another network."""

from collections.abc import Sequence

import pytest

from evalsuite.records.schema import parse_results
from evalsuite.report.content.index import indexed
from evalsuite.report.content.verdict import answer
from evalsuite.report.page import Picture, render


def rendered(document: dict[str, object], pictures: Sequence[Picture] = ()) -> str:
    """The page of these results, read as a file is."""
    return render(parse_results(document), pictures)


ONE = {
    "id": "app.onnx", "of": "m-0.3", "file": "out/app.onnx", "sha256": "ab" * 32, "kind": "onnx", "n": 1000,
    "disagreements": 0, "share": 0.0, "low": 0.0, "high": 0.003682, "confidence": 0.95, "largest": 2.1e-6,
    "median": 1.2e-7, "tolerance": 1e-3, "verdict": "same outputs", "holds": True, "hint": None,
}  # fmt: skip
OTHER = ONE | {
    "disagreements": 12, "share": 0.012, "low": 0.0062, "high": 0.0209, "largest": 0.81, "median": 0.02,
    "verdict": "differs", "holds": False,
}  # fmt: skip


def shipped_as(results, one, network):
    return results | {"shipped": [one | {"of": network}]}


def plain(text):
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ").replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture
def network(tiny):
    assert tiny["deployable"]["ratio"] > 0
    return tiny["deployable"]["network"]


def test_the_same_file(tiny, network):
    results = shipped_as(tiny, ONE, network)
    page, output = plain(rendered(results)), answer(indexed(parse_results(results)))
    assert "another network" not in output.headline
    assert plain(output.sentences[0]).endswith("gives the same outputs on all 1 000 examples, but for rounding.")
    assert "✓ same outputs" in page
    assert "ab" * 32 in page
    assert "after export, quantisation" not in page  # that was looked at


def test_a_file_that_differs_comes_first(tiny, network):
    results = shipped_as(tiny, OTHER | {"hint": "turn it round"}, network)
    page, printed = plain(rendered(results)), answer(indexed(parse_results(results)))
    assert printed.headline.endswith("The shipped file is another network.")
    assert "12 other predictions on 1 000 examples" in plain(printed.sentences[0])
    assert f"what was shown for `{network}` does not hold for it (turn it round)" in printed.sentences[0]
    assert "Shipped files that are other networks than the tested ones" in page
    assert "✗ differs" in page
    assert "1.20 [0.62, 2.09]" in page


def test_a_file_of_another_network_leaves_the_headline(tiny):
    spoken = answer(indexed(parse_results(shipped_as(tiny, OTHER, "parent"))))
    assert "another network" not in spoken.headline
    assert "does not hold" in spoken.sentences[0]


def test_same_predictions_say_what_may_differ_elsewhere(tiny, network):
    results = shipped_as(tiny, ONE | {"verdict": "same predictions", "largest": 0.0093}, network)
    text = plain(answer(indexed(parse_results(results))).sentences[0])
    assert "elsewhere at most 0.37 % may be others" in text
    assert "differ by up to 0.0093" in text


def test_without_shipped_files_there_is_no_section(tiny):
    page = rendered(tiny)
    assert "Shipped files" not in page
    assert "after export, quantisation" in page


def test_counts_that_cannot_be_told_are_dashes_with_a_reason(tiny):
    unknown = dict.fromkeys(("prune_ratio", "flop_reduction", "parameters", "nonzero", "flops", "dense_flops"))
    other = tiny["networks"][0] | unknown | {"id": "app", "role": "control", "uncounted": "it has loops"}
    page = plain(rendered(tiny | {"networks": [*tiny["networks"], other]}))
    assert "parameters and FLOPs of <code>app</code>: it has loops" in page
    row = page[page.index("app (control)") :].partition("</tr>")[0]
    assert row.count("–") >= len(unknown)
