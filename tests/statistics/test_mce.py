"""Mean corruption error: by hand, by the published formula, and how often its interval holds the truth."""

import numpy as np
import pytest
from torchvision.models import AlexNet_Weights

from evalsuite.corruptions import COMMON
from evalsuite.statistics.mce import (
    ALEXNET,
    ALEXNET_CLEAN,
    Errors,
    Published,
    mean_corruption_error,
    relative_mean_corruption_error,
)


def losses(count, n):
    """The first `count` of n examples are wrong."""
    return (np.arange(n) < count).astype(np.float64)


def test_by_hand():
    # network: errors 0.4 and 0.3; baseline: 0.2 and 0.5; ratios 2 and 0.6, mean 1.3
    network = Errors(corrupted=np.array([losses(8, 20), losses(6, 20)]), clean=losses(2, 20))
    baseline = Errors(corrupted=np.array([losses(4, 20), losses(10, 20)]), clean=losses(1, 20))
    result = mean_corruption_error(network, baseline, confidence=0.95)
    assert result is None  # with 4 of 20, some of 1000 resamples hold no error of the baseline
    network, baseline = (
        Errors(corrupted=np.tile(each.corrupted, 20), clean=np.tile(each.clean, 20)) for each in (network, baseline)
    )
    result = mean_corruption_error(network, baseline, confidence=0.95)
    assert result.value == pytest.approx(1.3)
    assert result.n == 400
    assert result.low < 1.3 < result.high
    # above the clean error, 0.1 and 0.05: (0.3 / 0.15 + 0.2 / 0.45) / 2
    result = relative_mean_corruption_error(network, baseline, confidence=0.95)
    assert result.value == pytest.approx((0.3 / 0.15 + 0.2 / 0.45) / 2)


def test_beside_itself_a_network_has_one():
    random = np.random.default_rng(0)
    errors = Errors(corrupted=random.random((15, 50)), clean=np.zeros(50))
    for figure in (mean_corruption_error, relative_mean_corruption_error):
        outcome = figure(errors, errors, confidence=0.9)
        assert (outcome.value, outcome.low, outcome.high) == pytest.approx((1, 1, 1))


def test_published_errors_are_the_ones_that_others_divide_by():
    # means over severities, as AugMix's code (Hendrycks et al. 2020, arXiv:1912.02781) lists them in the paper's order
    means = [0.886428, 0.894468, 0.922640, 0.819880, 0.826268, 0.785948, 0.798360, 0.866816, 0.826572, 0.819324]
    means += [0.564592, 0.853204, 0.646056, 0.717840, 0.606500]
    assert tuple(ALEXNET) == COMMON
    assert [np.mean(ALEXNET[c]) for c in COMMON] == pytest.approx(means, abs=1e-9)


def test_the_clean_error_is_the_one_that_torchvision_documents():
    documented = AlexNet_Weights.IMAGENET1K_V1.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    assert pytest.approx(1 - documented / 100, abs=1e-12) == ALEXNET_CLEAN
    # no corruption at any severity may help the network
    assert min(min(errors) for errors in ALEXNET.values()) > ALEXNET_CLEAN


def test_the_published_formula_beside_a_published_network():
    # robustbench and the paper: CE_c = sum over severities of E, over the same of AlexNet; mCE its mean
    random = np.random.default_rng(1)
    wrong = random.random((15, 5, 300)) < random.uniform(0.2, 0.9, (15, 5, 1))
    alexnet = np.array([ALEXNET[c] for c in COMMON])
    expected = np.mean(wrong.mean(2).sum(1) / alexnet.sum(1))
    base = Published(corrupted=alexnet.mean(1), clean=0.435)
    clean = random.random(300) < 0.2
    errors = Errors(corrupted=wrong.mean(1), clean=clean.astype(np.float64))
    assert mean_corruption_error(errors, base, confidence=0.95).value == pytest.approx(expected)
    relative = np.mean((wrong.mean(2) - clean.mean()).sum(1) / (alexnet - 0.435).sum(1))
    assert relative_mean_corruption_error(errors, base, confidence=0.95).value == pytest.approx(relative)


def test_without_clean_losses_nothing_is_relative():
    errors = Errors(corrupted=np.full((2, 9), 0.5))
    assert relative_mean_corruption_error(errors, errors, confidence=0.95) is None
    clean = Errors(corrupted=np.full((2, 9), 0.5), clean=np.full(9, 0.5))  # corruptions cost the baseline nothing
    assert relative_mean_corruption_error(clean, clean, confidence=0.95) is None


def test_other_examples_are_refused():
    one, other = Errors(corrupted=np.ones((2, 5))), Errors(corrupted=np.ones((2, 6)))
    with pytest.raises(ValueError, match="same n >= 1"):
        mean_corruption_error(one, other, confidence=0.95)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    # losses of an example under two corruptions and of both networks hang together through the example's difficulty
    truth, held = None, 0
    for run in range(150):
        random = np.random.default_rng(run)
        hard = random.beta(1, 2, 200)
        base = random.random((2, 200)) < hard * np.array([[0.8], [0.6]])
        parent_errors = random.random((2, 200)) < np.minimum(hard * np.array([[0.9], [0.8]]), 1)
        truth = (0.9 / 0.8 + 0.8 / 0.6) / 2
        errors, baseline = (Errors(corrupted=each.astype(np.float64)) for each in (parent_errors, base))
        actual = mean_corruption_error(errors, baseline, confidence=0.9)
        held += actual.low <= truth <= actual.high
    # 135 of 150 expected; a binomial with 0.9 lies below 124 with probability 0.002
    assert held >= 124
