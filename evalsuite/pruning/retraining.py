"""What training means in a run: retraining after a cut, training inside a pruner, and what pruners may look at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.config.settings import PruningSettings
from evalsuite.data import Examples
from evalsuite.errors import UsageError
from evalsuite.inputs.read import Inputs
from evalsuite.parts.names import part_name
from evalsuite.process.third_party_code import OutputError
from evalsuite.progress import Reporter
from evalsuite.pruning.refusals import refusing
from evalsuite.randomness import derive
from evalsuite.training import Progress, Recipe, batches, recalibrate, train
from pruners import Context, Hook, adapted, hold_zeros, merged
from pruners.regularisers import hook


@final
@dataclass(frozen=True)
class Retraining:
    """Trains networks of one run on its training examples.

    Attributes:
        inputs: The parent and its data; only training examples are looked at.
        settings: How the family is made.
        reporter: Hears about every step.
    """

    inputs: Inputs
    settings: PruningSettings
    reporter: Reporter

    def __call__(self, network: nn.Module, seed: int, *, recipe: Recipe | None = None) -> nn.Module:
        """A retrained copy of `network` whose pruned weights are still zero, in evaluation mode.

        Args:
            network: Not changed.
            seed: Of everything that training draws.
            recipe: Instead of the run's, trained in full: neither adapters nor fine-tuning.
        """
        settings, chosen = self.settings, recipe or self.settings.recipe
        assert chosen is not None  # noqa: S101 - nothing is retrained without a recipe
        if recipe is not None:
            return self._train(network, chosen, seed, rate=None, adapters=None)
        rate = chosen.fine_tuning_rate() if settings.rewind == "none" else None
        return self._train(network, chosen, seed, rate=rate, adapters=settings.adapters)

    def recalibrated(self, network: nn.Module, seed: int) -> nn.Module:
        """A copy of `network` whose batch-norm statistics are those of the training examples; as it is without data."""
        train = self.inputs.dataset.train
        if train is not None:
            with refusing("batch-norm statistics of this network cannot be measured again"):
                network = recalibrate(network, train, seed=seed, device=self.inputs.device)
        self.reporter.advance(1, "batch-norm statistics")
        return network

    def context(self, seed: int) -> Context:
        """What a pruner of this run may look at: training examples, and training by the run's recipe."""
        examples, device = self.inputs.dataset.train, self.inputs.device
        return Context(
            example=torch.zeros(1, *self.inputs.dataset.shape, device=device),
            seed=seed,
            batches=None if examples is None else batches(examples, seed=seed, device=device),
            train=None if self.settings.recipe is None else lambda network, hook: self._within(network, hook, seed),
        )

    def _within(self, network: nn.Module, hook: Hook, seed: int) -> nn.Module:
        assert self.settings.recipe is not None  # noqa: S101 - the context offers no training without a recipe
        return self._train(network, self.settings.recipe, derive(seed, "within"), hook=hook, rate=None, adapters=None)

    def _train(
        self,
        network: nn.Module,
        recipe: Recipe,
        seed: int,
        *,
        rate: float | None,
        adapters: int | None,
        hook: Hook | None = None,
    ) -> nn.Module:
        examples = self.inputs.dataset.train
        if examples is None:
            raise UsageError(f"{self.inputs.dataset.name} has no training examples: nothing can be trained")

        pace = Pace(examples, recipe, self.reporter)
        hold = hold_zeros(network) if adapters is None else None
        with refusing("--adapters cannot be added to this network"):
            student = network if adapters is None else adapted(network, adapters)
        hooks = [*self._regularisers, *([] if hook is None else [hook])]
        with refusing(f"--retrain {part_name(recipe)} cannot train this network"):
            trained = train(
                student,
                examples,
                recipe,
                seed=seed,
                device=self.inputs.device,
                after_step=pace.after(hold),
                hook=HookChain(hooks) if hooks else None,
                constant_rate=rate,
                progress=pace.epoch_done,
            )
        return trained if adapters is None else merged(trained)

    @cached_property
    def _regularisers(self) -> tuple[Hook, ...]:
        return tuple(_Named(hook(each), f"--regularise {part_name(each)}") for each in self.settings.regularisers)


@final
class _Named(Hook):
    """A regulariser whose refusals tell its name."""

    def __init__(self, penalty: Hook, option: str) -> None:
        self._penalty, self._option = penalty, option

    @override
    def penalty(self, network: nn.Module, images: Tensor, labels: Tensor, done: float) -> Tensor | None:
        with refusing(f"{self._option} cannot be asked of this network"):
            term: object = self._penalty.penalty(network, images, labels, done)
            if term is not None and not (isinstance(term, Tensor) and term.dim() == 0):
                given = f"shape {tuple(term.shape)}" if isinstance(term, Tensor) else type(term).__name__
                raise OutputError(f"expected a penalty that is one number, got {given}")
            return term


@final
class HookChain(Hook):
    """Calls several hooks one after another, as one hook."""

    def __init__(self, hooks: Sequence[Hook]) -> None:
        self._hooks = tuple(hooks)

    @override
    def penalty(self, network: nn.Module, images: Tensor, labels: Tensor, done: float) -> Tensor | None:
        penalties = [each.penalty(network, images, labels, done) for each in self._hooks]
        terms = [term for term in penalties if term is not None]
        return torch.stack(terms).sum() if terms else None

    @override
    def after_backward(self, network: nn.Module, done: float) -> None:
        for each in self._hooks:
            each.after_backward(network, done)

    @override
    def after_step(self, network: nn.Module, done: float) -> None:
        for each in self._hooks:
            each.after_step(network, done)


@final
class Pace:
    """Tells a reporter how far a training is, step by step; one epoch counts as 1."""

    def __init__(self, examples: Examples, recipe: Recipe, reporter: Reporter) -> None:
        self._batch = max(1, min(recipe.batch_size, len(examples)))
        self._steps, self._epochs = len(examples) // self._batch, recipe.epochs
        self._reporter, self._title, self._score = reporter, examples.problem.score_title, ""
        reporter.enter_epoch(1, recipe.epochs)

    def after(self, step: Callable[[nn.Module], None] | None) -> Callable[[nn.Module], None]:
        """`step`, if any, and the reporter hears of it."""

        def done(network: nn.Module) -> None:
            if step is not None:
                step(network)
            self._reporter.advance(1 / self._steps, self._score, examples=self._batch)

        return done

    def epoch_done(self, progress: Progress) -> None:
        """The next epoch begins, if there is one."""
        self._score = f"{self._title} {progress.score:.1%}"
        if progress.epoch < self._epochs:
            self._reporter.enter_epoch(progress.epoch + 1, self._epochs)


def lengthened(recipe: Recipe, times: float) -> Recipe:
    """`recipe` with so many times its epochs, at least 1."""
    return replace(recipe, epochs=max(1, round(times * recipe.epochs)))
