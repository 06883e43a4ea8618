"""Tables: a CSV file, and scikit-learn's diabetes data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes

from evalsuite.data import load
from evalsuite.errors import RefusedInputError, UsageError


def written(path: Path, rows: list[list[object]], names: str = "a,b,y") -> Path:
    path.write_text("\n".join([names, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def twenty(shift: float = 0.0) -> list[list[object]]:
    return [[k + shift, 5 - k / 10, 100 + 2 * k] for k in range(20)]


def test_columns_and_answers_are_scaled_by_the_training_rows(tmp_path: Path) -> None:
    train, test = written(tmp_path / "train.csv", twenty()), written(tmp_path / "test.csv", [[38.0, 3.1, 157]])
    data = load(f"csv:{train}?target=y&test={test}")
    assert (data.shape, data.outputs, data.classes) == ((2, 1, 1), (1,), ("y",))
    batch = data.test.batch(0, 1)
    # a: 38 lies beyond the training range 0 to 19 and is cut; b: range 3.1 to 5; y: range 100 to 138
    assert batch.images.flatten().tolist() == pytest.approx([1.0, 0.0])
    assert batch.truths.flatten().tolist() == pytest.approx([1.5])
    assert data.problem.losses(torch.tensor([[1.0]]), batch.truths).tolist() == pytest.approx([0.5])


def test_raw_answers_stay_in_their_units_and_are_judged_alike(tmp_path: Path) -> None:
    train, test = written(tmp_path / "train.csv", twenty()), written(tmp_path / "test.csv", [[38.0, 3.1, 157]])
    data = load(f"csv:{train}?target=y&raw=true&test={test}")
    assert data.test.truths([0]).tolist() == [[157.0]]
    assert data.problem.losses(torch.tensor([[138.0]]), torch.tensor([[157.0]])).tolist() == pytest.approx([0.5])


def test_a_fifth_is_held_out_where_there_is_no_other_file(tmp_path: Path) -> None:
    data = load(f"csv:{written(tmp_path / 'all.csv', twenty())}?target=b,y")
    assert data.train is not None
    assert (len(data.train), len(data.test), data.outputs) == (16, 4, (2,))
    again = load(f"csv:{tmp_path / 'all.csv'}?target=b,y")
    assert again.test.ids == data.test.ids


@pytest.mark.parametrize(
    ("rows", "names", "query", "kind", "message"),
    [
        (twenty(), "a,b,y", "", UsageError, r"\?target=COLUMN of .* \(a, b, y\), got ''"),
        (twenty(), "a,b,y", "?target=z", UsageError, "got 'z'"),
        (twenty(), "a,b,y", "?target=a,b,y", UsageError, "got 'a,b,y'"),
        (twenty(), "a,a,y", "?target=y", RefusedInputError, "different names"),
        ([[1, "two", 3]] * 12, "a,b,y", "?target=y", RefusedInputError, "number in column b, line 2 .* got 'two'"),
        ([[1, 2]], "a,b,y", "?target=y", RefusedInputError, "3 values in line 2 .* got 2"),
        ([[1, "nan", 3]] * 12, "a,b,y", "?target=y", RefusedInputError, "finite number in column b, line 2"),
        (twenty()[:9], "a,b,y", "?target=y", UsageError, "at least 10 rows .* got 9"),
        ([], "a,b,y", "?target=y", RefusedInputError, "at least one row .* got 1 lines"),
    ],
)
def test_bad_tables_are_told(
    tmp_path: Path, rows: list[list[object]], names: str, query: str, kind: type[Exception], message: str
) -> None:
    path = written(tmp_path / "bad.csv", rows, names)
    with pytest.raises(kind, match=message):
        load(f"csv:{path}{query}")


def test_the_diabetes_data_are_scikit_learns() -> None:
    data = load("diabetes")
    assert data.train is not None
    assert (len(data.train), len(data.test), data.shape) == (354, 88, (10, 1, 1))
    answers = torch.cat([data.train.truths(range(354)), data.test.truths(range(88))]).flatten().double().numpy()
    target = load_diabetes().target
    low, high = target.min(), target.max()
    # the training rows hold the extremes or nearly so: answers are the table's, up to one line
    slope, _ = np.polyfit(np.sort(target), np.sort(answers), 1)
    assert np.sort(answers) == pytest.approx(np.sort(target) * slope + np.sort(answers)[0] - low * slope, abs=1e-5)
    assert 1 - 1e-6 <= slope * (high - low) < 1.2
    assert data.train.truths(range(354)).min() == 0
    assert data.train.truths(range(354)).max() == 1


def test_a_row_counts_as_seen_only_with_its_answer(tmp_path: Path) -> None:
    train = written(tmp_path / "train.csv", twenty())
    test = written(tmp_path / "test.csv", [[3, 4.7, 106], [3, 4.7, 107]])
    data = load(f"csv:{train}?target=y&raw=true&test={test}")
    assert data.overlap == 1
    assert data.test.truths(range(len(data.test))).tolist() == [[107.0]]


def test_an_example_is_its_scale_too(tmp_path: Path) -> None:
    # another range of the training answers makes another loss of the same row: it must not be found in a store
    test = written(tmp_path / "test.csv", [[3, 4.7, 107]])
    wider = [*twenty()[:-1], [19, 3.1, 200]]
    first, second = (
        load(f"csv:{written(tmp_path / name, rows)}?target=y&raw=true&test={test}").test
        for name, rows in (("one.csv", twenty()), ("two.csv", wider))
    )
    assert first.image_ids == second.image_ids
    assert first.truths([0]).tolist() == second.truths([0]).tolist()
    assert first.ids != second.ids
    assert first.batch(0, 1).ids == first.ids
