"""Counts what an exported program costs, while its graph runs."""

import torch
from torch import Tensor

from evalsuite.networks.costs.cost import Cost
from evalsuite.networks.programs._program import Called, Program

_WEIGHT_AT = {
    "conv1d": 1, "conv2d": 1, "conv3d": 1, "convolution": 1, "linear": 1, "mm": 1, "matmul": 1, "bmm": 1, "addmm": 2,
    "conv_transpose1d": 1, "conv_transpose2d": 1, "conv_transpose3d": 1,
}  # fmt: skip
"""Where the weight stands among the arguments."""


def program_cost(program: Program, images: Tensor) -> Cost | str:
    """As `evalsuite.networks.costs.cost.cost`, or why it cannot be told; int8 weights count as what they stand for.

    Args:
        program: Run once.
        images: (n, c, h, w), as many as it takes.
    """
    weights: dict[str, Tensor] = {}
    flops: list[tuple[int, int]] = []

    def count(step: Called) -> None:
        at = _WEIGHT_AT.get(step.target.removeprefix("torch.ops.aten.").partition(".")[0])
        if at is None or not step.target.startswith("torch.ops.aten.") or len(step.given) <= at:
            return
        weight, name, made = step.given[at], step.names[at], step.made
        if name not in program.origins or not isinstance(weight, Tensor) or not isinstance(made, Tensor):
            return  # activations with each other
        assert name is not None  # noqa: S101 - it stands in `origins`
        weights[name] = weight
        positions = _positions(step, made) // len(images)
        flops.append((int(torch.count_nonzero(weight)) * positions, weight.numel() * positions))

    with torch.no_grad():
        program.run(images, count)
    if not weights:
        return "no weights of convolutions or linear layers were found in the program"
    counted = {origin for name in weights for origin in program.origins[name]}
    others = [program.tensor(name) for name in program.learnt - counted]
    return Cost(
        parameters=sum(t.numel() for t in (*weights.values(), *others)),
        nonzero=sum(int(torch.count_nonzero(t)) for t in (*weights.values(), *others)),
        prunable=sum(t.numel() for t in weights.values()),
        prunable_nonzero=sum(int(torch.count_nonzero(t)) for t in weights.values()),
        flops=sum(sparse for sparse, _ in flops),
        dense_flops=sum(dense for _, dense in flops),
        megabytes=sum(b.numel() * b.element_size() for b in program.buffers()) / 1e6,
    )


def _positions(step: Called, made: Tensor) -> int:
    """At how many places of all images each weight is used."""
    if "conv_transpose" in step.target:
        images = step.given[0]
        return images[:, 0].numel() if isinstance(images, Tensor) else 0
    return made[:, 0].numel() if "conv" in step.target else made.numel() // made.shape[-1]
