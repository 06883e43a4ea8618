"""Run files and results are read as editors write them."""

import json
from pathlib import Path

import pytest

from evalsuite.cli.gate import read_results
from evalsuite.errors import UsageError
from evalsuite.spec import read_config, resolve


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "run.toml").write_text('data = "digits"\nratios = [0.5]\n', encoding=encoding)
    assert read_config(tmp_path / "run.toml") == {"data": "digits", "ratios": [0.5]}
    results = {"schema": "evalsuite-results/1", "parent": "Übung"}
    (tmp_path / "results.json").write_text(json.dumps(results, ensure_ascii=False), encoding=encoding)
    assert read_results(tmp_path) == results


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 10_000, "a = [", "\x00"])
def test_what_is_no_toml_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(UsageError, match=r"--config: .*run\.toml is not TOML: ") as caught:
        read_config(tmp_path / "run.toml")
    assert "\n" not in str(caught.value)


def test_more_threads_than_processors_are_for_are_refused(tmp_path: Path) -> None:
    options = {"ckpt": "model.pt", "ratios": [0.5], "tasks": ["clean"]}
    assert resolve({**options, "threads": 64}).threads == 64
    with pytest.raises(UsageError, match=r"threads.* expected at most \d+ threads on this machine, got 100000"):
        resolve({**options, "threads": 100_000})
