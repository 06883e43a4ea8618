"""Statistics against scikit-learn, against what they mean, and by hand; weights against examples that are repeated."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, roc_auc_score, roc_curve

from evalsuite.errors import UsageError
from evalsuite.extend import Annotations, Metric, Statistic, Stored
from evalsuite.measures.calibration import Calibration
from evalsuite.measures.nll import Nll
from evalsuite.measures.ood_auroc import OodAuroc
from evalsuite.measures.ood_fpr95 import OodFpr95
from evalsuite.measures.risk_coverage import RiskCoverage
from evalsuite.parts.names import parse_part

Array = npt.NDArray[np.float64]
EVERY = [
    Calibration(bins=4),
    Nll(),
    RiskCoverage(),
    RiskCoverage(score="energy", excess=True),
    OodAuroc(),
    OodAuroc(score="energy"),
    OodFpr95(),
    OodFpr95(score="energy"),
    OodAuroc(score="knn"),
    OodFpr95(score="knn"),
]


def figure(statistic: Statistic, columns: dict[str, Array], labels: Array, weights: Array | None = None) -> float:
    stored, annotations = Stored(columns=columns, to_parent={}), Annotations(labels=labels.astype(np.int64))
    sampled = statistic(stored, stored, annotations, {})
    assert sampled.n == len(labels)
    given = np.ones((1, len(labels))) if weights is None else weights[None]
    child, parent = sampled.child(given), sampled.parent(given)
    assert child.shape == (1,)
    assert child[0] == parent[0]
    return float(child[0])


def observed(n: int, seed: int = 0, *, levels: int | None = None, classes: int = 4) -> tuple[dict[str, Array], Array]:
    """Columns of a network that is right about as often as it is sure; with few `levels` there are many ties."""
    draw = np.random.default_rng(seed)
    probabilities = draw.dirichlet(np.full(classes, 0.5), size=n)
    if levels is not None:
        probabilities = np.floor(probabilities * levels + draw.random(probabilities.shape)) + 0.1
        probabilities /= probabilities.sum(1, keepdims=True)
    labels = np.array([draw.choice(classes, p=p) for p in probabilities])
    outside = draw.dirichlet(np.full(classes, 0.7), size=n).max(1)
    energy = np.round(draw.normal(3, 1, n), 1)
    columns = {
        "prediction": probabilities.argmax(1),
        "confidence": probabilities.max(1),
        "truth": probabilities[np.arange(n), labels],
        "energy": energy,
        "out_confidence": np.round(outside, 2) if levels is not None else outside,
        "out_energy": np.round(draw.normal(2, 1, n), 1),
        "knn": -np.round(draw.uniform(0, 1, n), 1 if levels is not None else 9),
        "out_knn": -np.round(draw.uniform(0.2, 1.2, n), 1 if levels is not None else 9),
    }
    return columns, labels


# --- what the weights mean: the property that the bootstrap rests on


@pytest.mark.parametrize("statistic", EVERY, ids=str)
@pytest.mark.parametrize("levels", [None, 6])
def test_an_example_of_weight_two_counts_as_two_and_of_weight_zero_not_at_all(
    statistic: Statistic, levels: int | None
) -> None:
    columns, labels = observed(60, levels=levels)
    weights = np.random.default_rng(1).multinomial(60, np.full(60, 1 / 60)).astype(np.float64)
    again = np.repeat(np.arange(60), weights.astype(np.int64))
    repeated = {name: column[again] for name, column in columns.items()}
    weighted = figure(statistic, columns, labels, weights)
    assert weighted == pytest.approx(figure(statistic, repeated, labels[again]), abs=1e-12)


@pytest.mark.parametrize("statistic", EVERY, ids=str)
def test_many_resamples_at_once_are_each_by_itself(statistic: Statistic) -> None:
    columns, labels = observed(40, levels=5)
    weights = np.random.default_rng(2).multinomial(40, np.full(40, 1 / 40), size=7).astype(np.float64)
    stored, annotations = Stored(columns=columns, to_parent={}), Annotations(labels=labels)
    together = statistic(stored, stored, annotations, {}).child(weights)
    assert together == pytest.approx([figure(statistic, columns, labels, row) for row in weights], abs=1e-12)


@pytest.mark.parametrize("statistic", EVERY, ids=str)
def test_the_order_of_examples_does_not_matter_even_with_ties(statistic: Statistic) -> None:
    columns, labels = observed(80, levels=4)
    shuffled = np.random.default_rng(3).permutation(80)
    moved = {name: column[shuffled] for name, column in columns.items()}
    assert figure(statistic, moved, labels[shuffled]) == pytest.approx(figure(statistic, columns, labels), abs=1e-12)


@pytest.mark.parametrize("statistic", EVERY, ids=str)
def test_draws_of_one_example_are_resampled_together(statistic: Statistic) -> None:
    (one, labels), (two, _) = observed(30, seed=4), observed(30, seed=5)
    two["truth"] = np.clip(two["truth"], 0.01, 1)
    drawn = {name: np.stack([one[name], two[name]], axis=1) for name in one}
    weights = np.random.default_rng(6).multinomial(30, np.full(30, 1 / 30)).astype(np.float64)
    flat = {name: np.concatenate([one[name], two[name]]) for name in one}
    assert figure(statistic, drawn, labels, weights) == pytest.approx(
        figure(statistic, flat, np.concatenate([labels, labels]), np.concatenate([weights, weights])), abs=1e-12
    )


@pytest.mark.parametrize("statistic", EVERY, ids=str)
def test_one_example(statistic: Statistic) -> None:
    columns, labels = observed(1)
    assert np.isfinite(figure(statistic, columns, labels))


@pytest.mark.parametrize("statistic", EVERY, ids=str)
def test_it_never_binds_a_claim(statistic: Statistic) -> None:
    assert not statistic.required


# --- calibration


def test_calibration_is_scikit_learns_curve_over_equal_bins() -> None:
    # without ties and with n a multiple of the bins, scikit-learn's quantile bins hold n / bins examples each
    columns, labels = observed(15 * 40)
    right = columns["prediction"] == labels
    accuracy, confidence = calibration_curve(right, columns["confidence"], n_bins=15, strategy="quantile")
    assert figure(Calibration(), columns, labels) == pytest.approx(np.abs(accuracy - confidence).mean(), abs=1e-12)


def test_calibration_by_hand() -> None:
    # two bins of 1.5 examples. Low: 0.5 right, half of 0.6 wrong: 0.5 - 0.3 = 0.2. High: the other half -0.3 and 0.8
    # right: 0.2 - 0.3 = -0.1. (0.2 + 0.1) / 3
    columns = {"prediction": np.array([0, 1, 0]), "confidence": np.array([0.5, 0.6, 0.8])}
    assert figure(Calibration(bins=2), columns, np.zeros(3)) == pytest.approx(0.1)


def test_one_bin_is_the_gap_of_the_means() -> None:
    columns, labels = observed(50)
    gap = (columns["prediction"] == labels).mean() - columns["confidence"].mean()
    assert figure(Calibration(bins=1), columns, labels) == pytest.approx(abs(gap), abs=1e-12)


def test_examples_of_equal_confidence_cancel_out_whatever_the_bins() -> None:
    # four of five are right at confidence 0.8: calibrated, though any bin of single examples is not
    columns = {"prediction": np.array([0, 0, 0, 0, 1]), "confidence": np.full(5, 0.8)}
    assert figure(Calibration(), columns, np.zeros(5)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("gap", "share"), [(0.0, (0.6, 1.0)), (0.25, (0.0, 0.1))])
def test_the_allowance_covers_most_of_what_chance_adds_to_a_calibrated_network_and_vanishes_for_others(
    gap: float, share: tuple[float, float]
) -> None:
    draw = np.random.default_rng(9)
    chance, allowed = [], []
    for _ in range(100):
        confidence = draw.uniform(0.4, 0.95, 600)
        prediction = (draw.random(600) > confidence - gap).astype(np.int64)
        stored = Stored(columns={"prediction": prediction, "confidence": confidence}, to_parent={})
        result = Calibration()(stored, stored, Annotations(labels=np.zeros(600, dtype=np.int64)), {})
        chance.append(result.child(np.ones((1, 600)))[0] - gap)
        allowed.append(result.child_excess)
    # bins of 40 see a gap with an error of about 0.45 / sqrt(40) = 0.07, whose mean size is 0.8 times that
    noise = np.mean(chance) if gap == 0 else 0.057
    assert share[0] <= np.mean(allowed) / noise <= share[1]


# --- likelihood


def test_likelihood_is_scikit_learns() -> None:
    draw = np.random.default_rng(7)
    probabilities, labels = draw.dirichlet(np.ones(3), size=100), draw.integers(3, size=100)
    columns = {"truth": probabilities[np.arange(100), labels]}
    assert figure(Nll(), columns, labels) == pytest.approx(log_loss(labels, probabilities), abs=1e-12)


def test_a_probability_of_zero_costs_the_least_normal_number() -> None:
    assert figure(Nll(), {"truth": np.zeros(2)}, np.zeros(2)) == pytest.approx(126 * np.log(2))
    assert Nll.unit == "nats"


# --- risk and coverage


def test_area_is_the_mean_selective_risk_over_random_orders_of_ties() -> None:
    columns, labels = observed(40, levels=3)
    wrong = (columns["prediction"] != labels).astype(np.float64)
    draw, total = np.random.default_rng(8), 0.0
    for _ in range(20_000):
        order = np.lexsort((draw.random(40), -columns["confidence"]))
        total += (wrong[order].cumsum() / np.arange(1, 41)).mean()
    assert figure(RiskCoverage(), columns, labels) == pytest.approx(total / 20_000, abs=5e-4)


def test_area_without_ties_is_the_plain_sum() -> None:
    columns, labels = observed(101)
    wrong = (columns["prediction"] != labels)[np.argsort(-columns["confidence"])]
    plain = (wrong.cumsum() / np.arange(1, 102)).mean()
    assert figure(RiskCoverage(), columns, labels) == pytest.approx(plain, abs=1e-12)


def test_a_constant_score_has_the_error_as_area_and_a_perfect_one_no_excess() -> None:
    columns, labels = observed(50)
    wrong = columns["prediction"] != labels
    blind = columns | {"confidence": np.full(50, 0.5)}
    assert figure(RiskCoverage(), blind, labels) == pytest.approx(wrong.mean(), abs=1e-12)
    knowing = columns | {"confidence": np.where(wrong, 0.3, 0.6) + np.linspace(0, 0.01, 50)}
    assert figure(RiskCoverage(excess=True), knowing, labels) == pytest.approx(0.0, abs=1e-12)
    # one error of two, ranked first: (1 + 1/2) / 2 - (0 + 1/2) / 2
    pair = {"prediction": np.array([1, 0]), "confidence": np.array([0.9, 0.8]), "energy": np.array([0.1, 0.2])}
    assert figure(RiskCoverage(excess=True), pair, np.zeros(2)) == pytest.approx(0.5)
    assert figure(RiskCoverage(excess=True, score="energy"), pair, np.zeros(2)) == pytest.approx(0.0)


# --- outliers


@pytest.mark.parametrize("score", ["confidence", "energy", "knn"])
@pytest.mark.parametrize("levels", [None, 6])
def test_outliers_against_scikit_learn(score: str, levels: int | None) -> None:
    columns, labels = observed(150, levels=levels)
    inside = np.repeat([1, 0], 150)
    scores = np.concatenate([columns[score], columns[f"out_{score}"]])
    auroc = OodAuroc(score=score)  # type: ignore[arg-type]
    assert figure(auroc, columns, labels) == pytest.approx(1 - roc_auc_score(inside, scores), abs=1e-12)
    false, true, _ = roc_curve(inside, scores, drop_intermediate=False)
    fpr = OodFpr95(score=score)  # type: ignore[arg-type]
    assert figure(fpr, columns, labels) == pytest.approx(false[np.argmax(true >= 0.95)], abs=1e-12)


def test_the_threshold_that_19_of_20_reach() -> None:
    # scores 1, ..., 20: 19 of 20 reach 2. Outliers at 2 and above pass: 3 of 20
    outside = np.where(np.arange(20) < 3, [2.0, 5.0, 30.0] + [0.0] * 17, 1.9)
    columns = {"confidence": np.arange(1.0, 21.0), "out_confidence": outside}
    columns |= {"energy": columns["confidence"], "out_energy": outside}
    assert figure(OodFpr95(), columns, np.zeros(20)) == pytest.approx(3 / 20)


def test_perfect_and_reversed_detection() -> None:
    far = {"confidence": np.array([3.0, 4.0]), "out_confidence": np.array([1.0, 2.0])}
    far |= {"energy": -far["confidence"], "out_energy": -far["out_confidence"]}
    assert figure(OodAuroc(), far, np.zeros(2)) == 0.0
    assert figure(OodAuroc(score="energy"), far, np.zeros(2)) == 1.0
    assert figure(OodFpr95(), far, np.zeros(2)) == 0.0
    assert figure(OodFpr95(score="energy"), far, np.zeros(2)) == 1.0


def test_names_with_settings() -> None:
    assert parse_part("evalsuite.measures", "ood-auroc?score=energy", Metric) == OodAuroc(score="energy")
    assert parse_part("evalsuite.measures", "calibration?bins=10", Metric) == Calibration(bins=10)
    with pytest.raises(UsageError, match="confidence, energy, knn"):
        parse_part("evalsuite.measures", "ood-auroc?score=odin", Metric)
    with pytest.raises(UsageError, match="bins >= 1"):
        parse_part("evalsuite.measures", "calibration?bins=0", Metric)
