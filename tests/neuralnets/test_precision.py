from collections.abc import Iterator

import pytest
import torch

from neuralnets.precision import full_float32


def precisions() -> tuple[str, str]:
    return torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision


@pytest.fixture
def rounded() -> Iterator[None]:
    """What torch does by default: TF32, which keeps 10 bits of 23."""
    convolutions = torch.backends.cudnn.conv
    before = convolutions.fp32_precision
    convolutions.fp32_precision = "tf32"
    yield
    convolutions.fp32_precision = before


@full_float32()
def fail() -> None:
    raise ValueError(*precisions())


@pytest.mark.usefixtures("rounded")
def test_products_are_exact_inside_and_as_before_afterwards() -> None:
    before = precisions()
    assert before[0] == "tf32"
    with full_float32():
        assert precisions() == ("ieee", "ieee")
    assert precisions() == before
    with pytest.raises(ValueError, match=r"\('ieee', 'ieee'\)"):
        fail()
    assert precisions() == before
