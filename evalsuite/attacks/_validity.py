"""Flags networks that hide from attacks instead of withstanding them, whatever the attack."""

import torch
from torch import Tensor, nn

from evalsuite.attacks._base import Flag
from evalsuite.data._base import Batch
from evalsuite.randomness import keys, uniform

_SAME = 1e-4
"""Relative: more between two passes is no rounding; as in AutoAttack's check."""
_SUMS = 1e-5
_STEPS = 50


def doubts(network: nn.Module, images: Tensor) -> frozenset[Flag]:
    """What two passes of the same images (n, c, h, w) show: other outputs, or outputs that are no logits."""
    with torch.inference_mode():
        first, second = network(images).float(), network(images).float()
    flags: set[Flag] = set()
    apart = (_unit(first) - _unit(second)).norm(dim=1)
    if bool((apart > _SAME).any()) or bool((first.argmax(1) != second.argmax(1)).any()):
        flags.add(Flag.RANDOMISED)
    inside = bool((first > -_SUMS).all()) and bool((first < 1 + _SUMS).all())
    if inside and bool(((first.sum(1) - 1).abs() < _SUMS).all()):
        flags.add(Flag.PROBABILITIES)
    return frozenset(flags)


def zero_gradient(network: nn.Module, batch: Batch) -> Tensor:
    """(n,), bool: the gradient of the true class's margin is zero in every pixel, or there is none.

    The margin over the best other class, unlike the cross-entropy, does not vanish where a network is sure.
    """
    images = batch.images.detach().clone().requires_grad_()
    with torch.enable_grad():
        margin = _margins(network(images), batch.labels).sum()
        if not margin.requires_grad:
            return torch.ones(len(batch), dtype=torch.bool, device=images.device)
        gradient = torch.autograd.grad(margin, images, allow_unused=True, materialize_grads=True)[0]
    size: Tensor = gradient.flatten(1).abs().sum(1)
    return size == 0


def unbounded(network: nn.Module, batch: Batch, seed: int) -> Tensor:
    """(n,), bool: an attack that may put any image in the place of the example still does not change its class.

    Carlini et al. 2019 (arXiv:1902.06705), section 4.5: with an unbounded budget every attack has to succeed. Begins at
    an image of noise and goes down the margin in steps of 0.05 in every pixel; what is broken leaves.
    """
    survives = torch.ones(len(batch), dtype=torch.bool, device=batch.images.device)
    stream = keys(seed, "unbounded", batch.ids).to(batch.images.device)
    moved, left = uniform(stream, batch.images.shape[1:]), torch.arange(len(batch), device=survives.device)
    for _ in range(_STEPS):
        moved = moved.detach().requires_grad_()
        with torch.enable_grad():
            logits = network(moved)
            margin = _margins(logits, batch.labels[left]).sum()
        held = logits.argmax(1) == batch.labels[left]
        survives[left[~held]] = False
        if not margin.requires_grad or not bool(held.any()):
            break
        gradient = torch.autograd.grad(margin, moved, allow_unused=True, materialize_grads=True)[0]
        moved = (moved.detach() - 0.05 * gradient.sign()).clamp(0, 1)[held]
        left = left[held]
    return survives


def _margins(logits: Tensor, labels: Tensor) -> Tensor:
    label_logits = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    margins: Tensor = label_logits - others
    return margins


def _unit(logits: Tensor) -> Tensor:
    return nn.functional.normalize(logits, dim=1, eps=1e-10)
