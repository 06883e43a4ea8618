"""Tables of attributes: read as they stand, refused with the line that is wrong."""

import pytest

from evalsuite.data._slices import read
from evalsuite.errors import UsageError


def written(tmp_path, text):
    path = tmp_path / "slices.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_in_the_order_of_the_data(tmp_path):
    result = read(written(tmp_path, 'site,"light, outside"\nB,day\nA,\nB,night\n'))
    assert result.attributes == ("site", "light, outside")
    assert result.values("site") == ("A", "B")
    assert result.values("light, outside") == ("day", "night")
    # the third example, then the second: its light is not known
    assert result.numbered([2, 1]) == {"site": [1, 0], "light, outside": [1, -1]}
    result.check_rows([3], "digits")


def test_rows_by_id_stand_in_any_order(tmp_path):
    outcome = read(written(tmp_path, "id,site\nff,A\nee,B\ndd,A\n"))
    assert outcome.numbered(["ee", "ff"]) == {"site": [1, 0]}
    outcome.check_rows([100], "digits")
    with pytest.raises(UsageError, match="got none for 1 of them, the first with the id 00"):
        outcome.numbered(["ee", "00"])


def test_a_byte_order_mark_and_other_line_ends(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes("\ufeffsite\r\nÄ\r\nB\r\n".encode())
    assert read(path).values("site") == ("B", "Ä")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header"),
        ("site,site\nA,B\n", r"line 1: expected distinct names"),
        ("site,\nA,B\n", r"line 1: expected distinct names"),
        ("id\nff\n", r"line 1: expected distinct names"),
        ("site,light\nA,day\nB\n", r"slices.csv, line 3: expected 2 values, got 1"),
        ('site\nA\n"B\n', r"slices.csv, line 3"),
        ("id,site\nff,A\nee,B\nff,B\n", r"line 4: expected every id once, got ff as in line 2"),
        ("site,light\nA,\nB,\n", r"values of the attribute 'light', got 0"),
        ("weight\n" + "\n".join(map(str, range(300))), r"'weight', got 300: put numbers into classes"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        read(written(tmp_path, text))


def test_a_missing_file_and_a_picture(tmp_path):
    with pytest.raises(UsageError, match=r"expected --slices to be a CSV file, .*No such file"):
        read(tmp_path / "none.csv")
    (tmp_path / "picture").write_bytes(b"\x89PNG")
    with pytest.raises(UsageError, match="UTF-8, got the byte 0x89"):
        read(tmp_path / "picture")


def test_too_few_rows_name_the_last_line(tmp_path):
    actual = read(written(tmp_path, "site\nA\n\nB\n"))
    with pytest.raises(UsageError, match=r"line 4: expected 3 or 5 rows below the header.*of digits, got 2"):
        actual.check_rows([3, 5], "digits")
