"""Text files as spreadsheets write them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from evalsuite.data import load
from evalsuite.data._class_folders import _table
from evalsuite.data._slices import read
from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.files.delimited import read_delimited

ROWS = [("site", "light"), ("A", "day"), ("B", "night, late"), ("", "day")]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-32"]


def encoded(text: str, encoding: str) -> bytes:
    if encoding == "utf-16-le-bom":
        return b"\xff\xfe" + text.encode("utf-16-le")
    return text.encode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("delimiter", "end"), [(",", "\n"), (";", "\r\n"), ("\t", "\r\n")])
def test_rows_are_the_same_however_they_are_kept(encoding: str, delimiter: str, end: str) -> None:
    quoted = [[f'"{value}"' if delimiter in value else value for value in row] for row in ROWS]
    text = "".join(delimiter.join(row) + end for row in quoted)
    result = read_delimited(encoded(text, encoding), "t.csv")
    assert (result.delimiter, [row.values for row in result.rows]) == (delimiter, ROWS)
    assert [row.line for row in result.rows] == [1, 2, 3, 4]


def test_excel_says_what_stands_in_between() -> None:
    outcome = read_delimited(b"sep=;\r\na;b,c\r\n1;2,3\r\n", "t.csv")
    assert [row.values for row in outcome.rows] == [("a", "b,c"), ("1", "2,3")]
    assert [row.line for row in outcome.rows] == [2, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a;b,c\n1;2,3\n", "t.csv: expected values .* got a file that fits comma and semicolon: put"),
        ("Ort\nKöln\n".encode("latin-1"), "t.csv: expected text in UTF-8, got the byte 0xf6: save"),
        ("a,b\n1,2\n".encode("utf-16-le"), "null characters"),
        (b'a,b\n"1,2\n', "t.csv, line 2: expected comma-separated values, got"),
    ],
)
def test_what_cannot_be_told_is_one_line(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_delimited(content, "t.csv")
    assert "\n" not in str(caught.value)


def test_a_name_with_the_other_separator_does_not_confuse() -> None:
    actual = read_delimited(b"site;light, outside\nA;day\nB;night\n", "t.csv")
    assert actual.rows[0].values == ("site", "light, outside")


def test_slices_of_a_german_excel(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes("\ufeffOrt;Licht\r\nKöln;Tag\r\nBonn;Nacht, spät\r\n".encode())
    computed = read(tmp_path / "s.csv")
    assert computed.attributes == ("Ort", "Licht")
    assert computed.rows == (("Köln", "Tag"), ("Bonn", "Nacht, spät"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_mapping_of_folders_with_semicolons(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "m.csv").write_text("folder;class\nAlarm clock;n01\nAlarm clock;n02\n", encoding=encoding)
    assert _table(tmp_path / "m.csv") == {"Alarm clock": ("n01", "n02")}
    (tmp_path / "m.json").write_text('{"Chair": 0}', encoding=encoding)
    assert _table(tmp_path / "m.json") == {"Chair": ("0",)}


def table(path: Path, rows: list[str]) -> str:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
    return f"csv:{path}?target=y"


def values_of(name: str) -> np.ndarray:
    data = load(f"{name}&raw=true")
    assert data.train is not None
    parts = [part.truths(torch.arange(len(part))) for part in (data.train, data.test)]
    return np.sort(torch.cat(parts).flatten().numpy())


def test_decimal_commas_of_a_table(tmp_path: Path) -> None:
    expected = np.array([10.5 + k / 4 for k in range(12)])
    points = table(tmp_path / "p.csv", ["a,y", *(f"{k},{value}" for k, value in enumerate(expected))])
    commas = table(
        tmp_path / "c.csv", ["a;y", *(f"{k};{str(value).replace('.', ',')}" for k, value in enumerate(expected))]
    )
    tabs = table(tmp_path / "t.tsv", ["a\ty", *(f"{k}\t{value:.2e}" for k, value in enumerate(expected))])
    for name in (points, commas):
        np.testing.assert_allclose(values_of(name), expected)
    np.testing.assert_allclose(values_of(tabs), [float(f"{value:.2e}") for value in expected])
    marks = [next(i for i in load(n).interpretations if i.topic == "decimal mark") for n in (points, commas)]
    assert [(mark.value, mark.basis) for mark in marks] == [("point", "measured"), ("comma", "measured")]


def test_what_may_be_thousands_is_refused(tmp_path: Path) -> None:
    name = table(tmp_path / "t.csv", ["a;y", *(f"{k};1,{500 + k}" for k in range(12))])
    with pytest.raises(RefusedInputError, match=r"may be either, e\.g\. 1,500: add \?decimal=comma"):
        load(name)
    np.testing.assert_allclose(values_of(f"{name}&decimal=comma"), [1.5 + k / 1000 for k in range(12)], rtol=1e-6)


def test_points_and_commas_in_one_number_are_refused(tmp_path: Path) -> None:
    name = table(tmp_path / "t.csv", ["a;y", *(f"{k};1.000,5" for k in range(12))])
    with pytest.raises(RefusedInputError, match=r"finite number in column y, line 2 .* got '1\.000,5'"):
        load(name)
    with pytest.raises(UsageError, match="decimal to be one of point, comma"):
        load(f"{name}&decimal=dot")


def test_a_table_in_no_encoding_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"gr\xf6\xdfe,y\n1,2\n")
    with pytest.raises(UsageError, match=r"t\.csv: expected text in UTF-8, got the byte 0xf6"):
        load(f"csv:{tmp_path / 't.csv'}?target=y")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_columns_are_counted_in_the_first_line(end: str) -> None:
    rows = end.join(["a,b", *["1,2"] * 300]).encode()
    assert len(read_delimited(rows, "x.csv", most_columns=2).rows) == 301
    with pytest.raises(ValueError, match=r"x\.csv: expected at most 1 columns, got more"):
        read_delimited(rows, "x.csv", most_columns=1)
