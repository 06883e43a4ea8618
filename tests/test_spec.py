"""Run files and results are read as editors write them."""

import json
from pathlib import Path

import pytest

from evalsuite.cli.gate import read_results
from evalsuite.spec import read_config


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "run.toml").write_text('data = "digits"\nratios = [0.5]\n', encoding=encoding)
    assert read_config(tmp_path / "run.toml") == {"data": "digits", "ratios": [0.5]}
    results = {"schema": "evalsuite-results/1", "parent": "Übung"}
    (tmp_path / "results.json").write_text(json.dumps(results, ensure_ascii=False), encoding=encoding)
    assert read_results(tmp_path) == results
