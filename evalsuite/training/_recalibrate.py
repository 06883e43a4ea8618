"""Recalibrates batch-norm statistics, which pruning has shifted the activations away from."""

import torch
from torch import Generator, nn
from torch.nn.modules.batchnorm import _BatchNorm

from evalsuite.data import Examples
from evalsuite.errors import UsageError
from evalsuite.networks.copies import copied
from evalsuite.randomness import derive


def recalibrate(
    network: nn.Module,
    examples: Examples,
    *,
    seed: int,
    device: torch.device,
    batches: int = 100,
    batch_size: int = 128,
) -> nn.Module:
    """A copy of `network`, in evaluation mode, whose batch-norm statistics are measured anew; weights stay as they are.

    Running mean and variance become the plain averages of the batches' means and unbiased variances (Li et al. 2020,
    EagleEye, section 3.2; Izmailov et al. 2018, section 3.2). Nothing else is in training mode: dropout stays off.

    Args:
        network: Not changed.
        examples: Training examples; never held-out ones.
        seed: Which examples are drawn is derived from it.
        device: Where to run.
        batches: As many at most; fewer where the examples do not fill them.
        batch_size: Examples per batch, at least 2.
    """
    if batches < 1 or batch_size < 2 or len(examples) < 2:
        raise UsageError(
            f"expected at least 1 batch of at least 2 examples, "
            f"got {batches} of {batch_size} from {len(examples)} examples"
        )
    measured = copied(network).to(device).eval()
    norms = [m for m in measured.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not norms:
        return measured
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    size = min(batch_size, len(examples))
    order = torch.randperm(len(examples), generator=Generator().manual_seed(derive(seed, "recalibrate"))).split(size)
    measured.to(memory_format=torch.channels_last)
    with torch.no_grad():
        for index in order[: min(batches, len(examples) // size)]:
            measured(examples.pixels(index).to(device, memory_format=torch.channels_last))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return measured.to(memory_format=torch.contiguous_format).eval()
