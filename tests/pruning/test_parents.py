"""A parent is not trained for a place where it cannot stand, and not lost where the place goes away."""

import tempfile
from pathlib import Path

import pytest

from evalsuite.errors import UsageError
from evalsuite.networks.checkpoints.checkpoint import read
from evalsuite.progress import Silent
from evalsuite.pruning import train_parent

_OPTIONS = {"arch": "lenet5", "data": "digits", "recipe": "standard", "epochs": 1, "seed": 0, "device": "cpu"}


@pytest.mark.parametrize("taken", ["net.safetensors", "net.early.safetensors"])
def test_a_place_that_cannot_be_written_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    monkeypatch.setattr(train_parent, "train", lambda *_, **__: pytest.fail("trained for nothing"))
    (tmp_path / taken).mkdir()
    with pytest.raises(UsageError, match=rf"--out: .*{taken}, which is a folder"):
        train_parent.train_parent(**_OPTIONS, out=tmp_path / "net.safetensors", reporter=Silent())


def test_a_place_that_goes_away_during_training_does_not_lose_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, trained = tmp_path / "there" / "net.safetensors", train_parent.train
    (tmp_path / "rescue").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "rescue"))

    def train(*given, **more):
        network = trained(*given, **more)
        out.parent.rmdir()
        out.parent.touch()
        return network

    monkeypatch.setattr(train_parent, "train", train)
    with pytest.raises(UsageError, match="what was trained is in") as refusal:
        train_parent.train_parent(**_OPTIONS, out=out, reporter=Silent())
    rescued = Path(str(refusal.value).rpartition(" ")[2])
    assert read(rescued / "net.safetensors").lineage[-1]["step"] == "train"
    assert read(rescued / "net.early.safetensors").lineage[-1]["step"] == "early"
