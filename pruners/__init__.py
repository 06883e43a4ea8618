"""Pruning methods: a network goes in, a pruned network comes out. Imports torch, never the judge.

    from pruners import prune
    from pruners.magnitude import Magnitude

    sparse = prune(network, Magnitude(), 0.9, example=images[:1])

Each method is a file of this folder, called by its name on the command line. `cascade` alternates pruning and
retraining, `hold_zeros` keeps masks in force in between. To write a method, subclass `Pruner`: score the weights
(`prunable`), choose exactly as many as may stay (`keep_global`), bake the zeros in (`apply_masks`).
"""

from neuralnets.training_hook import Hook as Hook
from neuralnets.weights import prunable as prunable
from neuralnets.weights import remaining as remaining
from pruners._adapters import adapted as adapted
from pruners._adapters import merged as merged
from pruners._base import Context as Context
from pruners._base import Pruner as Pruner
from pruners._base import Scores as Scores
from pruners._base import Train as Train
from pruners._channel_pruner import ChannelPruner as ChannelPruner
from pruners._controls import copycat as copycat
from pruners._controls import reinitialised as reinitialised
from pruners._controls import same_ratios_random as same_ratios_random
from pruners._controls import shuffled as shuffled
from pruners._controls import width_reduced as width_reduced
from pruners._coupling import coupled_channels as coupled_channels
from pruners._grids import lost_in_pruning as lost_in_pruning
from pruners._grids import lottery as lottery
from pruners._masks import apply_masks as apply_masks
from pruners._masks import keep_global as keep_global
from pruners._prune import prune as prune
from pruners._schedule import Step as Step
from pruners._schedule import cascade as cascade
from pruners._schedule import hold_zeros as hold_zeros
from pruners._schedule import keep_for as keep_for
from pruners._sgd import sgd as sgd
from pruners._use import unused_weights as unused_weights
from pruners._weight_pruner import WeightPruner as WeightPruner
