import pytest
from torch import nn

from neuralnets.modes import evaluating


def network() -> nn.Sequential:
    made = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2)).train()
    made[1].eval()
    return made


def test_every_module_is_put_back() -> None:
    one, other = network(), network().eval()
    with evaluating(one, other):
        assert not any(module.training for each in (one, other) for module in each.modules())
    assert one.training
    assert [module.training for module in one] == [True, False, True]
    assert not any(module.training for module in other.modules())


def test_they_are_put_back_after_an_error_too() -> None:
    made = network()
    with pytest.raises(ValueError, match="inside"), evaluating(made):
        raise ValueError("inside")
    assert [module.training for module in made] == [True, False, True]
