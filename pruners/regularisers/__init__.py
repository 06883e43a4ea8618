"""Penalties on a network's values or weights that a training adds to its loss. Each is a file of this folder.

from pruners import sgd
from pruners.regularisers import hook
from pruners.regularisers.slimming import Slimming

sparse = sgd(batches, steps=1000)(network, hook(Slimming(weight=1e-4)))
"""

from pruners.regularisers._base import Regulariser as Regulariser
from pruners.regularisers._base import hook as hook
