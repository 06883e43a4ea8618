"""Trains a copy of a network on examples by a recipe."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import torch
from torch import Generator, Tensor, nn

from evalsuite.data import Examples
from evalsuite.errors import EvalsuiteError, UsageError
from evalsuite.networks.copies import copied
from evalsuite.problems import Problem
from evalsuite.process.culprit import is_own
from evalsuite.process.third_party_code import OutputError
from evalsuite.randomness import derive
from evalsuite.training._base import Progress, Recipe
from evalsuite.training._loader import Feed, feed
from evalsuite.training._subsample import subsampled
from neuralnets.training_hook import Hook

_CHECKED_EVERY = 25


def train(  # noqa: PLR0913 - one keyword a question
    network: nn.Module,
    examples: Examples,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    after_step: Callable[[nn.Module], None] | None = None,
    hook: Hook | None = None,
    constant_rate: float | None = None,
    progress: Callable[[Progress], None] | None = None,
    early: Callable[[int, nn.Module], None] | None = None,
) -> nn.Module:
    """A trained copy of `network`, on `device` and in evaluation mode.

    The same arguments give the same bits on the same kind of CPU with the same number of threads.

    Args:
        network: Takes images in [0, 1]; where training starts. Not changed.
        examples: Training examples.
        recipe: How to train.
        seed: Order of examples, augmentation and dropout are derived from it.
        device: Where to train.
        after_step: Called with the copy after every optimiser step, e.g. to hold pruned weights at zero.
        hook: What is done besides at every step, before `after_step`.
        constant_rate: The learning rate of all steps, instead of the recipe's schedule (fine-tuning).
        progress: Called after every epoch.
        early: Called with the number of finished steps and the copy, first with 0; it may keep a copy of early weights
            for weight rewinding (Frankle et al. 2020). The copy it is handed goes on being trained.

    Raises:
        UsageError: There are no examples or nothing to train, or the recipe's loss is not defined for this network.
        EvalsuiteError: The loss is no longer finite.
    """
    if not len(examples):
        raise UsageError("expected at least one training example, got none")
    if (refusal := recipe.unsupported_reason(examples.problem)) is not None:
        raise UsageError(f"expected a recipe for {examples.problem.title}, got {type(recipe).__name__}: {refusal}")
    student = copied(network).to(device).to(memory_format=torch.channels_last)
    source = feed(examples, device)
    generator = Generator().manual_seed(derive(seed, "train"))
    batch_size = min(recipe.batch_size, len(examples))
    start = time.monotonic()
    with _forked_randomness(device, derive(seed, "dropout")), subsampled(student):
        loop = _Loop(
            student=student.train(),
            ready=recipe.prepare_network(student, source.batch(torch.arange(1))[0]),
            recipe=recipe,
            problem=examples.problem,
            optimizer=_optimizer(student, recipe),
            generator=generator,
            steps_per_epoch=len(examples) // batch_size,
            after_step=after_step,
            hook=hook,
            constant_rate=constant_rate,
            early=early,
        )
        if early is not None:
            early(0, student)
        for epoch in range(recipe.epochs):
            order = torch.randperm(len(examples), generator=generator).split(batch_size)
            loss, score = loop.epoch(epoch, source, order[: loop.steps_per_epoch])
            if progress is not None:
                left = (time.monotonic() - start) / (epoch + 1) * (recipe.epochs - epoch - 1)
                report = Progress(epoch=epoch + 1, epochs=recipe.epochs, loss=loss, score=score, seconds_left=left)
                progress(report)
    return student.to(memory_format=torch.contiguous_format).eval()


@final
@dataclass(frozen=True, kw_only=True)
class _Loop:
    student: nn.Module
    ready: nn.Module
    recipe: Recipe
    problem: Problem
    optimizer: torch.optim.SGD
    generator: Generator
    steps_per_epoch: int
    after_step: Callable[[nn.Module], None] | None
    hook: Hook | None
    constant_rate: float | None
    early: Callable[[int, nn.Module], None] | None

    def epoch(self, epoch: int, source: Feed, order: tuple[Tensor, ...]) -> tuple[float, float]:
        loss, missed, count = torch.zeros((), device=source.device), torch.zeros((), device=source.device), 0
        for place, (images, labels) in enumerate(self.batches(source, order)):
            step = epoch * self.steps_per_epoch + place
            batch_loss, batch_missed = self.step(step, images, labels)
            loss, missed, count = loss + batch_loss * len(labels), missed + batch_missed, count + len(labels)
            # a look at a number makes a GPU wait, so not at every step
            if (step + 1) % _CHECKED_EVERY == 0 or place + 1 == len(order):
                self.check(loss, epoch)
        return float(loss) / count, (count - float(missed)) / count

    def batches(self, source: Feed, order: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        for first in range(0, len(order), self.recipe.ahead):
            together = order[first : first + self.recipe.ahead]
            images, labels = source.batch(torch.cat(together))
            sizes = [len(index) for index in together]
            yield from zip(
                self.recipe.prepare_images(images, self.generator).split(sizes), labels.split(sizes), strict=True
            )

    def step(self, step: int, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        done = step / (self.recipe.epochs * self.steps_per_epoch)
        recipe = self.recipe.scheduled_at(done)
        rate = recipe.rate(step, self.steps_per_epoch) if self.constant_rate is None else self.constant_rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        views, labels = self._views(recipe, images, labels)
        self.optimizer.zero_grad()
        loss, logits = recipe.loss(self.ready, views, labels, self.generator)
        if not is_own(recipe):
            _check(loss, logits, type(recipe).__name__)
        penalty = None if self.hook is None else self.hook.penalty(self.student, views, labels, done)
        (loss if penalty is None else loss + penalty).backward()
        if self.hook is not None:
            self.hook.after_backward(self.student, done)
        self.optimizer.step()
        if self.hook is not None:
            self.hook.after_step(self.student, done)
        if self.after_step is not None:
            self.after_step(self.student)
        if self.early is not None:
            self.early(step + 1, self.student)
        return loss.detach(), self.problem.losses(logits.detach(), labels).sum()

    def _views(self, recipe: Recipe, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What the network sees of images, and what it should answer."""
        if self.problem.views:
            images = recipe.augment(images, self.generator)
        elif self.problem.aligned:
            images, labels = recipe.augment_together(images, labels, self.generator)
        return images.contiguous(memory_format=torch.channels_last), labels

    def check(self, loss: Tensor, epoch: int) -> None:
        if not math.isfinite(float(loss)):
            raise EvalsuiteError(
                f"expected a finite training loss, got {float(loss)} in epoch {epoch + 1} of {self.recipe.epochs}: "
                f"try a smaller learning_rate (it was {self.recipe.learning_rate:g}) or a longer warm-up, and see "
                f"whether the weights that training starts from are finite"
            )


def _check(loss: object, outputs: object, recipe: str) -> None:
    """Refuse what a plug-in's recipe gives instead of a loss and the outputs that it was computed from.

    Raises:
        OutputError: What was given.
    """
    if not isinstance(loss, Tensor) or loss.dim() or not loss.requires_grad:
        given = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise OutputError(f"expected the recipe {recipe} to give one loss that has a gradient, got {given}")
    if not isinstance(outputs, Tensor):
        raise OutputError(f"expected the recipe {recipe} to give the outputs too, got {type(outputs).__name__}")


def _optimizer(student: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    if not trained:
        raise UsageError("expected a network with parameters to train, got none that requires a gradient")
    return torch.optim.SGD(
        trained,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )


@contextmanager
def _forked_randomness(device: torch.device, seed: int) -> Iterator[None]:
    # dropout draws from torch's global generators: they are seeded here and put back after
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.set_rng_state(Generator().manual_seed(seed).get_state())
        if on_gpu:
            torch.cuda.set_rng_state(Generator(device).manual_seed(seed).get_state(), device)
        yield
