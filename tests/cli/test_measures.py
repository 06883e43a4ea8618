"""Measures with settings and slices, as they are typed."""

import json

import pytest

from evalsuite.data import load

pytestmark = pytest.mark.slow

FAST = ("--tasks", "clean,ood/noise", "--ratios", "0.5", "--examples", "60", "--device", "cpu", "--json")


def test_slices_and_settings(evalsuite, checkpoint, tmp_path):
    table = tmp_path / "slices.csv"
    labels = load("digits").test.labels.tolist()
    table.write_text("parity\n" + "\n".join("odd" if label % 2 else "even" for label in labels) + "\n")
    typed = (*FAST, "--slices", table, "--measures", "error,negative-flips,ood-auroc?score=energy")
    first = evalsuite("sweep", "--ckpt", checkpoint, "--out", tmp_path / "run", *typed)
    assert first.code == 0, first.err
    result = json.loads(first.out)
    assert [m["name"] for m in result["measures"]] == [
        "error",
        "negative_flips",
        "ood_auroc?score=energy",
        "worst_slice",
    ]
    (cell,) = [c for c in result["cells"] if c["measure"] == "worst_slice" and c["network"] == "magnitude-0-0.5"]
    assert cell["group"] in {"parity = even", "parity = odd"}
    assert "nothing to do" in evalsuite("sweep", "--ckpt", checkpoint, "--out", tmp_path / "run", *typed).err

    # another table is another run, even under the same name
    table.write_text(table.read_text().replace("even", "straight"))
    again = evalsuite("sweep", "--ckpt", checkpoint, "--out", tmp_path / "run", *typed)
    assert again.code == 2
    assert "slices" in again.err


def test_what_is_wrong_with_a_table_or_a_name_is_told(evalsuite, checkpoint, tmp_path):
    (tmp_path / "short.csv").write_text("site\nA\n")
    out = ("--ckpt", checkpoint, "--out", tmp_path / "run", *FAST)
    short = evalsuite("sweep", *out, "--slices", tmp_path / "short.csv")
    assert short.code == 2
    assert "short.csv, line 2: expected 600 rows" in short.err
    missing = evalsuite("sweep", *out, "--slices", tmp_path / "none.csv")
    assert missing.code == 2
    assert "--slices" in missing.err
    wrong = evalsuite("sweep", *out, "--measures", "calibraton")
    assert wrong.code == 2
    assert "calibration" in wrong.err
    setting = evalsuite("sweep", *out, "--measures", "ood_auroc?scores=energy")
    assert setting.code == 2
    assert "score" in setting.err
