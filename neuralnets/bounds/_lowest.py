"""Propagates linear functions of an output backwards through a network, to linear lower bounds on the input.

Zhang et al. 2018, arXiv:1811.00866 (CROWN). Only lower bounds are needed: the highest value of f is minus the lowest
of -f.
"""

import torch
from torch import Tensor

from neuralnets.bounds._lines import Lines
from neuralnets.bounds._operation import Regions
from neuralnets.bounds._region import Box
from neuralnets.bounds._tape import Step


def lowest(steps: tuple[Step, ...], regions: Regions, lines: Lines, *, through_relus: bool = True) -> Tensor:
    """Lower bounds of linear functions of what the last of `steps` puts out.

    Args:
        steps: The first steps of a network.
        regions: Of the input and of what each step puts out, at least.
        lines: p functions.
        through_relus: Whether steps that lose something are passed as well (CROWN), or their regions taken as they
            are (interval bounds of the linear functions, with the last layers merged into them).

    Returns:
        (p,).
    """
    pending = {len(steps): lines}
    low = lines.coefficients.new_zeros(len(lines))
    for place in range(len(steps), 0, -1):
        if place not in pending:
            continue
        here, step = pending.pop(place), steps[place - 1]
        if not (through_relus or step.operation.affine):
            low = low + regions[place].lowest(here)
            continue
        before, constants = step.operation.lower(here, tuple(regions[source] for source in step.inputs))
        low = low + constants
        for source, line in zip(step.inputs, before, strict=True):
            shape = regions[source].box.low.shape[1:]
            pending[source] = pending[source].plus(line, shape) if source in pending else line
    return low + regions[0].lowest(pending[0]) if 0 in pending else low


def both_sides(outputs: Tensor) -> Lines:
    """The functions whose lowest values are those of every output, and minus the highest.

    Args:
        outputs: (n, m); only its shape, type and device count.

    Returns:
        2 n m functions: per example first the outputs, then the outputs negated.
    """
    n, m = outputs.shape
    one = torch.eye(m, dtype=outputs.dtype, device=outputs.device)
    rows = torch.arange(n, device=outputs.device).repeat_interleave(2 * m)
    return Lines(coefficients=torch.cat((one, -one)).repeat(n, 1), rows=rows)


def as_box(low: Tensor, outputs: Tensor) -> Box:
    """The box (n, m) that the lowest values of `both_sides` of `outputs` make."""
    sides = low.view(len(outputs), 2, outputs.shape[1])
    return Box(low=sides[:, 0], high=-sides[:, 1])


def margins(labels: Tensor, outputs: Tensor) -> Lines:
    """The functions y_label - y_j for all j other than the label, in increasing order of j.

    Args:
        labels: (n,), int64.
        outputs: (n, m); only its shape, type and device count.

    Returns:
        n (m - 1) functions, those of the first example first.
    """
    n, m = outputs.shape
    one = torch.eye(m, dtype=outputs.dtype, device=outputs.device)
    differences = one[labels][:, None] - one
    others = torch.arange(m, device=labels.device) != labels[:, None]
    rows = torch.arange(n, device=outputs.device).repeat_interleave(m - 1)
    return Lines(coefficients=differences[others], rows=rows)


def by_class(low: Tensor, outputs: Tensor) -> Tensor:
    """The lowest values of `margins` of `outputs` (n, m) as (n, m - 1)."""
    return low.view(len(outputs), outputs.shape[1] - 1)
