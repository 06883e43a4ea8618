import numpy as np
from sklearn.datasets import load_digits

from evalsuite.data import check_disjoint, load

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


def test_every_digit_is_there_once_and_the_split_is_stratified() -> None:
    result = load("digits")
    assert (len(result.train), len(result.test), result.overlap) == (1197, 600, 0)
    assert (result.shape, result.classes) == ((1, 8, 8), tuple("0123456789"))
    check_disjoint(result.train, result.test)
    images = np.concatenate([part.pixels(range(len(part))).numpy()[:, 0] for part in (result.train, result.test)])
    labels = np.concatenate([part.labels.numpy() for part in (result.train, result.test)])
    published = load_digits()

    def in_order(pictures: Array, numbers: Array) -> list[tuple[list[float], int]]:
        return sorted(zip(pictures.reshape(-1, 64).tolist(), numbers.tolist(), strict=True))

    assert in_order(images * 16, labels) == in_order(published.images, published.target)
    # 1797 digits, 174 to 183 of a class: a third of each, to the nearest whole number
    assert set(result.test.labels.bincount().tolist()) <= {58, 59, 60, 61}


def test_the_split_is_always_the_same() -> None:
    first, second = load("digits"), load("digits")
    assert first.test.ids == second.test.ids
    assert first.train.ids == second.train.ids
