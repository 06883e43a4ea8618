"""Plain stochastic gradient descent, for callers that bring no training of their own."""

from collections.abc import Callable, Iterable
from itertools import chain, islice, repeat

import torch
from torch import Tensor, nn

from neuralnets.copies import copied
from neuralnets.losses import criterion
from neuralnets.training_hook import Hook
from pruners._base import Train
from pruners._schedule import hold_zeros


def sgd(
    batches: Callable[[], Iterable[tuple[Tensor, Tensor]]],
    *,
    steps: int,
    learning_rate: float = 0.01,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
) -> Train:
    """Stochastic gradient descent on the cross-entropy at a constant rate; pruned weights stay zero.

        context = Context(example=images[:1], batches=batches, train=sgd(batches, steps=1000))

    Args:
        batches: Training batches (images, labels), anew at each call; they are gone through as often as it takes.
        steps: Optimiser steps, at least 1.
        learning_rate: Above 0.
        momentum: In [0, 1).
        weight_decay: At least 0.
    """

    def train(network: nn.Module, hook: Hook) -> nn.Module:
        student = copied(network).train()
        hold = hold_zeros(network)
        optimizer = torch.optim.SGD(student.parameters(), learning_rate, momentum, weight_decay=weight_decay)
        endless = chain.from_iterable(each() for each in repeat(batches))
        with torch.inference_mode(mode=False), torch.enable_grad():
            for step, (images, labels) in enumerate(islice(endless, steps)):
                done = step / steps
                optimizer.zero_grad()
                total = criterion(student(images), labels)
                penalty = hook.penalty(student, images, labels, done)
                (total if penalty is None else total + penalty).backward()
                hook.after_backward(student, done)
                optimizer.step()
                hold(student)
                hook.after_step(student, done)
        return student.eval()

    return train
