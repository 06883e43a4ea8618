from decimal import ROUND_HALF_UP, Decimal

import pytest

from pruners import lost_in_pruning, lottery
from pruners._grids import Grid, geometric, linear, retrained

# percentages as listed by the authors' configuration, one decimal
PUBLISHED = {
    "resnet20": "15.0 22.4 29.2 35.4 41.0 46.2 50.9 55.1 59.1 62.6 65.9 68.9 71.6 74.1 76.3 78.4 80.3 82.0 83.6 85.0"
    " 89.6 93.8 98.0",
    "resnet56": "15.0 30.2 42.7 53.0 61.4 68.3 74.0 78.7 82.5 85.6 88.2 90.3 92.0 93.5 94.6 95.6 96.4 97.0 97.6 98.0",
    "wrn16_8": "15.0 24.1 32.1 39.4 45.8 51.6 56.8 61.4 65.5 69.2 72.4 75.4 78.0 80.3 82.4 84.3 86.0 87.5 88.8 90.0"
    " 92.6 95.3 98.0",
    "densenet22": "15.0 24.1 32.1 39.4 45.8 51.6 56.8 61.4 65.5 69.2 72.4 75.4 78.0 80.3 82.4 84.3 86.0 87.5 88.8 90.0"
    " 92.6 95.3",
    "robust": "20.0 35.7 48.4 58.5 66.7 73.2 78.5 82.7 86.1 88.8 91.0 92.8 94.2 95.4 96.3 97.0",
    "robust_densenet22": "20.0 36.5 49.6 60.0 68.3 74.8 80.0 84.1 87.4 90.0 92.1 93.7 95.0",
    "imagenet_resnet18": "10.0 17.4 24.2 30.4 36.2 41.4 46.2 50.7 54.7 58.4 61.9 65.0 69.0 73.2 77.4 81.6 85.8 90.0",
    "imagenet_resnet101": "10.0 17.4 24.2 30.4 36.2 41.4 46.2 50.7 54.7 58.4 61.9 65.0 69.0 73.2 77.4 81.6",
    "voc_deeplabv3": "20.0 36.5 49.6 60.0 68.3 74.8 80.0 84.1 87.4 90.0 92.0 93.7 95.1 96.2 97.0",
}


def as_listed(ratio: float) -> str:
    # the list was rounded to two decimals, then to one: 78.646 stands there as 78.7
    percent = Decimal(100 * ratio).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return str(percent.quantize(Decimal("0.1"), ROUND_HALF_UP))


@pytest.mark.parametrize("grid", PUBLISHED)
def test_the_published_ratios_are_reproduced(grid: Grid) -> None:
    result = lost_in_pruning(grid)
    assert [as_listed(ratio) for ratio in result] == PUBLISHED[grid].split()
    assert list(result) == sorted(set(result))


def test_the_last_geometric_ratio_in_closed_form() -> None:
    # resnet20's cycles keep the factor (0.15 / 0.85)^(3 / 57); the seventh retrained network has seen six of them
    assert lost_in_pruning("resnet20")[6] == pytest.approx(1 - 0.85 * (0.15 / 0.85) ** (18 / 57), abs=1e-12)


def test_spacings_by_hand() -> None:
    assert geometric(0.8, 0.2, 3) == pytest.approx([0.8, 0.4, 0.2])
    assert linear(0.8, 0.2, 3) == pytest.approx([0.8, 0.5, 0.2])


def test_the_last_step_of_each_cycle_is_retrained() -> None:
    # five steps in two cycles: (0.9, 0.8, 0.7), (0.6, 0.5)
    assert retrained([0.9, 0.8, 0.7, 0.6, 0.5], 2) == pytest.approx((0.3, 0.5))


@pytest.mark.parametrize("cycles", [0, 4])
def test_cycles_out_of_range(cycles: int) -> None:
    with pytest.raises(ValueError, match=rf"expected 1 <= cycles <= 3, got {cycles}"):
        retrained([0.9, 0.8, 0.7], cycles)


def test_each_round_of_the_lottery_removes_a_fifth_of_what_is_left() -> None:
    # left after each round: 0.8, 0.64, 0.512, 0.4096
    assert lottery(4) == pytest.approx((0.2, 0.36, 0.488, 0.5904))
    # 19 rounds leave 0.8^19 = 1.44 %
    assert lottery(19)[-1] == pytest.approx(1 - 0.0144115, abs=1e-7)


def test_the_share_of_a_round() -> None:
    assert lottery(3, share=0.5) == (0.5, 0.75, 0.875)


@pytest.mark.parametrize("rounds", [0, -1])
def test_a_lottery_has_a_round(rounds: int) -> None:
    with pytest.raises(ValueError, match=f"expected rounds >= 1, got {rounds}"):
        lottery(rounds)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, float("nan")])
def test_a_round_takes_a_share(share: float) -> None:
    with pytest.raises(ValueError, match=f"expected 0 < share < 1, got {share}"):
        lottery(2, share=share)
