"""Tasks that bring examples: chosen by seed, judged by their own labels, read only where something is missing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from small_families import resident
from torch import nn

from evalsuite.api import sweep
from evalsuite.config.settings import EvaluationSettings
from evalsuite.data import Dataset, Examples
from evalsuite.engines._items import NetworkRef
from evalsuite.engines.local import LocalEngine
from evalsuite.errors import UsageError
from evalsuite.evaluation.evaluate import write_missing
from evalsuite.evaluation.examples import prepare_examples
from evalsuite.evaluation.missing import Population, missing_work
from evalsuite.extend import OwnExamples, Task, TaskOutput
from evalsuite.progress import Silent
from evalsuite.records.store import opened
from evalsuite.tasks._predict import predict
from evalsuite.tasks.clean import Clean

pytestmark = pytest.mark.slow

READ = []


@dataclass(frozen=True, kw_only=True)
class Elsewhere(Task, OwnExamples):
    """Examples from a file."""

    version: ClassVar[int] = 1
    location_fields: ClassVar[frozenset[str]] = frozenset({"at"})
    shard_size: ClassVar[int] = 4
    at: str = ""

    def examples(self, dataset: Dataset) -> Examples:
        READ.append(self.at)
        arrays = np.load(self.at)
        return Examples.from_labels(torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"]))

    def files(self) -> Sequence[Path]:
        return (Path(self.at),)

    def observe(self, networks, shard, *, seed):
        return TaskOutput(networks=predict(networks, shard.images, shard))


class Brightest(nn.Module):
    """Says which of the first three pixels is the brightest."""

    def __init__(self):
        super().__init__()
        self.pick = nn.Linear(4, 3, bias=False)
        with torch.no_grad():
            self.pick.weight.copy_(torch.eye(3, 4) + 1e-6)

    def forward(self, images):
        return self.pick(images.flatten(1))


def images(n, seed):
    return (torch.rand(n, 1, 2, 2, generator=torch.Generator().manual_seed(seed)) * 255).to(torch.uint8)


def dataset(**changed):
    test = Examples.from_labels(images(30, 0), torch.arange(30) % 3)
    train = Examples.from_labels(images(20, 1), torch.arange(20) % 3)
    made = Dataset(
        name="toy", classes=("a", "b", "c"), shape=(1, 2, 2), train=train, test=test, mean=(0.5,), std=(0.5,)
    )
    return replace(made, **changed)


def written(path, x, y):
    np.savez(path, x=np.asarray(x), y=np.asarray(y))
    return str(path)


PARENT = NetworkRef(id="parent", digest="d")


def missing(task, shards, store):
    return missing_work(task, shards, Population(parent=PARENT, networks=(PARENT,)), store, 0)


def compute(work, examples, store):
    loader = resident([PARENT], [Brightest().eval()])
    engine = LocalEngine([work.task], examples.for_task, loader, device=torch.device("cpu"))
    write_missing([work], PARENT, store, engine=engine, reporter=Silent())


@pytest.fixture
def elsewhere(tmp_path):
    READ.clear()
    x = images(11, 2)
    truth = x.flatten(1)[:, :3].argmax(1)
    # the first four are wrongly labelled, so that a reader of the run's labels would see another error
    y = torch.where(torch.arange(11) < 4, (truth + 1) % 3, truth)
    return Elsewhere(at=written(tmp_path / "own.npz", x, y))


def test_observations_of_own_examples_are_read_with_their_labels(elsewhere, tmp_path):
    judging = EvaluationSettings(tasks=(Clean(), elsewhere), examples=20, measures=("error", "worst_class"))
    result = sweep(
        Brightest(), dataset(), out=tmp_path / "run", ratios=(0.1,), evaluation_settings=judging, accept_parent=True
    ).summary
    cells = {(c["task"], c["measure"], c["network"]): c for c in result["cells"]}
    name = next(t["name"] for t in result["tasks"] if t["kind"] == "elsewhere")
    assert cells[name, "error", "parent"]["loss"] == pytest.approx(4 / 11)
    assert cells[name, "error", "parent"]["n"] == 11
    chosen = dataset().test
    assert cells["clean", "error", "parent"]["n"] == 20
    (task,) = [t for t in result["tasks"] if t["kind"] == "elsewhere"]
    assert (task["n"], task["shards"]) == (11, 3)
    assert len(chosen) == 30


def test_limits_hold_for_own_examples_and_the_seed_chooses(elsewhere, tmp_path):
    judging = EvaluationSettings(tasks=(elsewhere,), examples=20, examples_for={"elsewhere": 5})
    with opened(tmp_path / "run", create=True) as store:
        first = prepare_examples(judging, dataset(), dataset().test, store)
        assert [(c.start, c.stop) for c in first.shards["elsewhere?at=" + elsewhere.at]] == [(0, 4), (4, 5)]
        other = prepare_examples(replace(judging, seed=1), dataset(), dataset().test, store)
    assert {c.examples for c in first.shards["elsewhere?at=" + elsewhere.at]} != {
        c.examples for c in other.shards["elsewhere?at=" + elsewhere.at]
    }


def test_a_moved_file_is_the_same_and_a_finished_task_is_not_read(elsewhere, tmp_path):
    judging = EvaluationSettings(tasks=(elsewhere,), examples=20)
    with opened(tmp_path / "run", create=True) as store:
        first = prepare_examples(judging, dataset(), dataset().test, store)
        (shards,) = first.shards.values()
        compute(missing(elsewhere, shards, store), first, store)
        read = len(READ)
        (again,) = prepare_examples(judging, dataset(), dataset().test, store).shards.values()
        assert again == shards
        assert missing(elsewhere, again, store).items == ()
        assert len(READ) == read
        moved = Path(elsewhere.at).rename(tmp_path / "moved.npz")
        there = Elsewhere(at=str(moved))
        (shards,) = prepare_examples(replace(judging, tasks=(there,)), dataset(), dataset().test, store).shards.values()
        assert missing(there, shards, store).items == ()
        assert len(READ) == read + 1


def test_files_that_change_under_way_are_noticed(elsewhere, tmp_path):
    judging = EvaluationSettings(tasks=(elsewhere,), examples=20)
    with opened(tmp_path / "run", create=True) as store:
        outcome = prepare_examples(judging, dataset(), dataset().test, store)
        (shards,) = outcome.shards.values()
        written(elsewhere.at, images(11, 5), torch.arange(11) % 3)
        with pytest.raises(UsageError, match="files have changed"):
            compute(missing(elsewhere, shards, store), outcome, store)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (images(3, 2).repeat(1, 3, 1, 1), [0, 1, 2], r"images of \(1, 2, 2\), as those of toy, got \(3, 2, 2\)"),
        (images(3, 2), [0, 1, 3], "labels from 0 to 2, the classes of toy, got labels from 0 to 3"),
        (images(3, 2)[:0], [], "expected examples, got none"),
        (images(20, 1)[4:6], [0, 1], "2 that are"),  # they stand in the training examples
    ],
)
def test_examples_that_do_not_fit_are_refused_before_anything_is_made(x, y, message, tmp_path):
    task = Elsewhere(at=written(tmp_path / "own.npz", x, np.asarray(y, dtype=np.int64)))
    with pytest.raises(UsageError, match=message):
        sweep(
            Brightest(),
            dataset(),
            out=tmp_path / "run",
            ratios=(0.1,),
            evaluation_settings=EvaluationSettings(tasks=(task,)),
            accept_parent=True,
        )
    assert not list((tmp_path / "run").glob("networks/*"))
