"""Lines kept where they are not 0 are the lines that are kept whole."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from neuralnets import bounds
from neuralnets.bounds._lines import Lines, Window, entries
from neuralnets.bounds._lowest import lowest
from neuralnets.bounds._trace import tape


@pytest.mark.parametrize("name", ["residual", "pooled", "dense", "grouped"])
def test_windows_and_whole_lines_agree(build: Callable[[str, int], nn.Module], images: Tensor, name: str) -> None:
    network = build(name, 1)
    for region in (bounds.linf_ball(images, 0.05), bounds.l2_ball(images, 0.3)):
        passed = tape(network, region)
        for place, values in enumerate(region.box.low for region in passed.regions):
            if values.ndim != 4:
                continue
            count = values[0].numel()
            rows, flat = torch.arange(len(images)).repeat_interleave(count), torch.arange(count).repeat(len(images))
            small = entries(values, rows, flat)
            eye = torch.eye(count, dtype=torch.float64).repeat(len(images), 1).view(-1, *values.shape[1:])
            assert small.coefficients.shape[2:] == (1, 1)
            assert torch.equal(small.whole(values.shape[1:]).coefficients, eye)
            with torch.no_grad():
                by_window = lowest(passed.steps[:place], passed.regions, small)
                by_whole = lowest(passed.steps[:place], passed.regions, Lines(coefficients=eye, rows=rows))
            torch.testing.assert_close(by_window, by_whole, rtol=1e-10, atol=1e-10)


def windowed(offset: tuple[int, int], size: tuple[int, int], seed: int) -> Lines:
    """Two functions of images (1, 4, 5), whose windows stand out over the image here and there."""
    generator = torch.Generator().manual_seed(seed)
    window = Window(start=torch.tensor([[0, 0], [1, 2]]), stride=(2, 1), offset=offset)
    lines = Lines(coefficients=torch.randn(2, 1, *size, generator=generator), rows=torch.tensor([0, 1]), window=window)
    return lines.trimmed(torch.Size((1, 4, 5)))


@pytest.mark.parametrize("offset", [(0, 0), (-1, 2), (1, -2)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 1)])
def test_sums_of_windows(offset: tuple[int, int], size: tuple[int, int]) -> None:
    shape = torch.Size((1, 4, 5))
    one, other = windowed((0, -1), (2, 2), 0), windowed(offset, size, 1)
    expected = one.whole(shape).coefficients + other.whole(shape).coefficients
    assert one.plus(other, shape).window is not None
    torch.testing.assert_close(one.plus(other, shape).whole(shape).coefficients, expected)
    torch.testing.assert_close(one.plus(other.whole(shape), shape).coefficients, expected)


def test_values_at_windows() -> None:
    lines = windowed((-1, 0), (3, 2), 0)
    values = torch.randn(2, 1, 4, 5, generator=torch.Generator().manual_seed(1))
    whole = lines.whole(torch.Size((1, 4, 5)))
    torch.testing.assert_close(lines.dot(values), (whole.coefficients * values).flatten(1).sum(1))
    torch.testing.assert_close(lines.dot(values[:1]), (whole.coefficients * values[:1]).flatten(1).sum(1))
