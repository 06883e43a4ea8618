"""What a pruned network has to be held against, before its method may take the credit.

- "dense": the parent, retrained as often as the last network of a family.
- "shuffled": the masks of every layer shuffled within it (Frankle et al. 2021, arXiv:2009.08576).
- "random": weights or channels drawn at random, as many of each layer as the method kept.
- "reinitialised": the pruned network's masks or shape, new weights, retrained as the pruned network was.
- "scratch": the same, trained in full by the recipe: scratch-E of Liu et al. 2019 (arXiv:1810.05270).
- "scratch-budget": the same for as many operations as training the parent takes, at most twice the epochs: scratch-B.
- "width": the parent's architecture, evenly narrower, to the pruned network's budget, trained in full.
- "depth": the parent's architecture, shallower, nearest below the budget, trained in full (Crowley et al. 2018,
  arXiv:1810.04622); built-in residual networks only.
- "recalibrated", wherever nothing is retrained: the parent with its batch norm measured again, as the pruned
  networks' is.
- "copycat": the widths of the family's first network, scaled to the budget, trained in full (same source).
"""

from collections.abc import Sequence
from dataclasses import fields, replace

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from evalsuite.config.options import Control
from evalsuite.config.settings import PruningSettings
from evalsuite.errors import UsageError
from evalsuite.inputs.read import Inputs
from evalsuite.networks.architectures.by_name import BUILT_IN, build
from evalsuite.networks.architectures.input_convention import Arguments
from evalsuite.networks.checkpoints.checkpoint import Checkpoint
from evalsuite.networks.costs.cost import cost
from evalsuite.networks.normalized import Normalized
from evalsuite.pruning.retraining import Retraining, lengthened
from pruners import Context, Pruner, copycat, reinitialised, remaining, same_ratios_random, shuffled, width_reduced

_OF_CHANNELS = frozenset({"copycat"})
_AS_THE_PRUNED = frozenset({"shuffled", "random", "reinitialised"})
"""Controls that are trained as long as the pruned network was retrained; all others are trained in full."""
_LONGEST = 2.0


def controls_per_network(controls: Sequence[Control], pruner: Pruner) -> tuple[Control, ...]:
    """Those of `controls` that stand beside each network of `pruner`."""
    fits = [each for each in controls if each not in _OF_CHANNELS or pruner.structure == "channels"]
    return tuple(each for each in fits if each != "dense")


def trains_in_full(control: Control) -> bool:
    """Whether its training follows the recipe of a network from scratch, not that of retraining."""
    return control != "dense" and control not in _AS_THE_PRUNED


def control_count(settings: PruningSettings) -> int:
    """How many control networks a run makes, at most: shallower networks do not reach every budget."""
    each = sum(len(controls_per_network(settings.controls, pruner)) for pruner in settings.pruners) * len(
        settings.ratios
    )
    return settings.seeds * (each + ("dense" in settings.controls))


def stands_recalibrated(settings: PruningSettings, inputs: Inputs) -> bool:
    """Whether the parent with its batch norm measured again stands beside: it was, of every network that is pruned.

    A difference between parent and pruned networks may else be that between two batch norms.
    """
    if settings.recipe is not None or inputs.dataset.train is None:
        return False
    return any(
        isinstance(module, _BatchNorm) and module.track_running_stats for module in inputs.parent.network.modules()
    )


def recipe_runs(pruner: Pruner) -> int:
    """How often the recipe is gone through per network of a pruner: methods that train do so before the cut too."""
    return 2 if "training" in pruner.needs else 1


def epochs_of(control: Control, settings: PruningSettings, step: int) -> int:
    """Epochs that the control beside the network of `step` = 0, 1, ... is trained, at most."""
    assert settings.recipe is not None  # noqa: S101 - checked when options were resolved
    if control in _AS_THE_PRUNED:
        return settings.recipe.epochs * (1 if settings.one_shot else step + 1)
    whole = (settings.full or settings.recipe).epochs
    return round(_LONGEST * whole) if control == "scratch-budget" else whole


def total_epochs(settings: PruningSettings) -> int:
    """Epochs that a run's networks take in all, or networks where nothing is trained."""
    epochs = 1 if settings.recipe is None else settings.recipe.epochs
    steps = range(len(settings.ratios))
    pruned = epochs * len(steps) * sum(recipe_runs(pruner) for pruner in settings.pruners)
    beside = sum(
        epochs_of(control, settings, step)
        for pruner in settings.pruners
        for control in controls_per_network(settings.controls, pruner)
        for step in steps
    )
    dense = epochs * (1 if settings.one_shot else len(steps)) if "dense" in settings.controls else 0
    return settings.seeds * (pruned + beside + dense)


def make_control(
    control: Control,
    pruned: nn.Module,
    reference: nn.Module,
    retraining: Retraining,
    *,
    seed: int,
    trials: int,
) -> Checkpoint | None:
    """The control network for one pruned network, trained, in evaluation mode; None where there is none.

    Args:
        control: Which; not "dense".
        pruned: What it stands beside. Not changed.
        reference: The first network of the same family, whose widths copycats take.
        retraining: Trains it.
        seed: Of every draw.
        trials: How often the pruned network was retrained.

    Raises:
        UsageError: Only who made the parent can build it with new weights or another depth.
    """
    settings, parent = retraining.settings, retraining.inputs.parent
    assert settings.recipe is not None  # noqa: S101 - checked when options were resolved
    recipe = settings.full or settings.recipe
    if control in _AS_THE_PRUNED:
        recipe = lengthened(settings.recipe, trials)
    elif control == "scratch-budget":
        saved = cost(parent.network, parent.shape).flops / cost(pruned, parent.shape).flops
        recipe = lengthened(recipe, min(_LONGEST, saved))
    arguments: Arguments = parent.arguments
    if control == "depth":
        shallower = _shallower(parent, remaining(pruned), seed)
        if shallower is None:
            return None
        start, depth = shallower
        arguments = {**arguments, "depth": depth}
    else:
        start = _start(control, pruned, reference, parent, retraining.context(seed))
    network = retraining(start, seed, recipe=recipe)
    assert isinstance(network, Normalized)  # noqa: S101 - pruning and training keep what they are handed
    return replace(parent, network=network, arguments=arguments)


def _start(
    control: Control, pruned: nn.Module, reference: nn.Module, parent: Checkpoint, context: Context
) -> nn.Module:
    """What the training of a control starts from."""
    if control == "shuffled":
        return shuffled(parent.network, pruned, context)
    if control == "random":
        return same_ratios_random(parent.network, pruned, context)
    fresh = fresh_parent(parent, context.seed)
    if control == "width":
        return width_reduced(fresh, remaining(pruned), context)
    if control == "copycat":
        return copycat(reference, fresh, remaining(pruned), context)
    return reinitialised(pruned, fresh, context)


def fresh_parent(parent: Checkpoint, seed: int) -> nn.Module:
    """The parent's architecture with new initial weights.

    Raises:
        UsageError: The parent came as a Python object, or is channel-pruned itself.
    """
    return _built(parent, {}, seed)


def _shallower(parent: Checkpoint, keep: int, seed: int) -> tuple[nn.Module, int] | None:
    """The deepest network of the parent's kind with at most `keep` prunable parameters, and its depth."""
    part = BUILT_IN.get(parent.arch or "")
    depth = dict(parent.arguments).get("depth", getattr(part, "depth", None))
    if part is None or not isinstance(depth, int) or "depth" not in {field.name for field in fields(part)}:
        raise UsageError(f"--controls depth: expected a built-in network with a depth, got {parent.arch}")
    for shallower in range(depth - 1, 0, -1):
        try:
            network = _built(parent, {"depth": shallower}, seed)
        except UsageError:
            continue  # not a depth of this kind of network
        if remaining(network) <= keep:
            return network, shallower
    return None


def _built(parent: Checkpoint, arguments: dict[str, int], seed: int) -> nn.Module:
    if parent.arch is None:
        raise UsageError("--controls: expected a network that can be built by name (--arch), got a Python object")
    channels, side, _ = parent.shape
    bare = build(
        parent.arch,
        classes=parent.class_count,
        channels=channels,
        image_size=side,
        arguments={**parent.arguments, **arguments},
        seed=seed,
    )
    wrapper = parent.network
    network = Normalized(bare, wrapper.mean.tolist(), wrapper.std.tolist())
    return network.to(wrapper.mean.device)
