"""Pruning methods: a network goes in, a pruned network comes out. Imports torch, never the judge.

>>> import torch
>>> from torch import nn
>>> from pruners import Context, Hook, Magnitude, prune, remaining, sgd
>>> network = nn.Sequential(
...     nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
...     nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
... )
>>> sparse = prune(network, Magnitude(), 0.9, example=torch.zeros(1, 1, 8, 8))
>>> remaining(network), remaining(sparse)
(680, 68)

Methods that look at data take batches, those that prune while they train take a way to train; the examples of all
classes here go on with this network and these images:

>>> images, labels = torch.rand(16, 1, 8, 8), torch.arange(16) % 4
>>> batches = lambda: [(images, labels)]
>>> train = sgd(batches, steps=4)
>>> context = Context(example=images[:1], batches=batches, train=train)

Each method is a file of this folder, called by its name on the command line. `cascade` alternates pruning and
retraining, `hold_zeros` keeps masks in force in between. To write a method, subclass `Pruner`: score the weights
(`prunable`), choose exactly as many as may stay (`keep_global`), bake the zeros in (`apply_masks`).
"""

from neuralnets.training_hook import Hook
from neuralnets.weights import prunable, remaining
from pruners._adapters import adapted, merged
from pruners._base import Context, Pruner, Scores, Train
from pruners._channel_pruner import ChannelPruner
from pruners._controls import copycat, reinitialised, same_ratios_random, shuffled, width_reduced
from pruners._coupling import coupled_channels
from pruners._grids import lost_in_pruning, lottery
from pruners._masks import apply_masks, keep_global
from pruners._prune import prune
from pruners._schedule import Step, cascade, hold_zeros, keep_for
from pruners._sgd import sgd
from pruners._use import unused_weights
from pruners._weight_pruner import WeightPruner
from pruners.constrained_rl import ConstrainedRL
from pruners.coreset import Coreset
from pruners.correlation import Correlation
from pruners.filter_norm import FilterNorm
from pruners.fisher import Fisher
from pruners.fpgm import FPGM
from pruners.grasp import GraSP
from pruners.greedy_allocation import GreedyAllocation
from pruners.greg import GReg
from pruners.hrank import HRank
from pruners.hydra import Hydra
from pruners.iss_p import ISSP
from pruners.magnitude import Magnitude
from pruners.n_m import NM
from pruners.pfp import PFP
from pruners.random import Random
from pruners.rni import RNI
from pruners.singe import SInGE
from pruners.sipp import SiPP
from pruners.slimming import Slimming
from pruners.snip import SNIP
from pruners.synflow import SynFlow
from pruners.taylor import Taylor
from pruners.thinet import ThiNet
from pruners.woodfisher import WoodFisher

__all__ = [
    "FPGM",
    "ISSP",
    "NM",
    "PFP",
    "RNI",
    "SNIP",
    "ChannelPruner",
    "ConstrainedRL",
    "Context",
    "Coreset",
    "Correlation",
    "FilterNorm",
    "Fisher",
    "GReg",
    "GraSP",
    "GreedyAllocation",
    "HRank",
    "Hook",
    "Hydra",
    "Magnitude",
    "Pruner",
    "Random",
    "SInGE",
    "Scores",
    "SiPP",
    "Slimming",
    "Step",
    "SynFlow",
    "Taylor",
    "ThiNet",
    "Train",
    "WeightPruner",
    "WoodFisher",
    "adapted",
    "apply_masks",
    "cascade",
    "copycat",
    "coupled_channels",
    "hold_zeros",
    "keep_for",
    "keep_global",
    "lost_in_pruning",
    "lottery",
    "merged",
    "prunable",
    "prune",
    "reinitialised",
    "remaining",
    "same_ratios_random",
    "sgd",
    "shuffled",
    "unused_weights",
    "width_reduced",
]
