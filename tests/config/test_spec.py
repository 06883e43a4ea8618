"""Run files and results are read as editors write them."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.config.spec import read_config, resolve, to_toml
from evalsuite.errors import UsageError
from evalsuite.records.sealing import read_document


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "run.toml").write_text('data = "digits"\nratios = [0.5]\n', encoding=encoding)
    assert read_config(tmp_path / "run.toml") == {"data": "digits", "ratios": [0.5]}
    results = {"schema": "evalsuite-results/1", "parent": "Übung"}
    (tmp_path / "results.json").write_text(json.dumps(results, ensure_ascii=False), encoding=encoding)
    assert read_document(tmp_path / "results.json") == results


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NUMBERS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]+", fullmatch=True),
        st.one_of(TEXT, NUMBERS, st.lists(TEXT), st.dictionaries(TEXT, NUMBERS)),
    )
)
def test_what_is_written_as_toml_is_read_again(values: dict[str, object]) -> None:
    assert tomllib.loads(to_toml(values)) == values


@pytest.mark.parametrize("name", ["sur\udcff", "nul\0", "\ud83d"])
@pytest.mark.parametrize("option", ["ckpt", "out", "data", "tasks", "margin_for"])
def test_names_that_are_no_text_are_refused(option: str, name: str) -> None:
    values = {"tasks": ("clean", name), "margin_for": {name: 0.1}}
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')}: expected a name that can be written as text"):
        resolve({"ckpt": Path("a.pt"), option: values.get(option, name)})


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 10_000, "a = [", "\x00"])
def test_what_is_no_toml_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(UsageError, match=r"--config: .*run\.toml is not TOML: ") as caught:
        read_config(tmp_path / "run.toml")
    assert "\n" not in str(caught.value)
