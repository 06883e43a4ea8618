"""Penalties on a network's values or weights that a training adds to its loss. Each is a file of this folder.

The examples go on with the network, the images and the batches of `pruners`:

>>> from pruners import sgd
>>> from pruners.regularisers import Slimming, hook
>>> trained = sgd(batches, steps=4)(network, hook(Slimming(weight=1e-4)))
"""

from pruners.regularisers._base import Regulariser, hook
from pruners.regularisers.and_or import AndOr
from pruners.regularisers.nrs import Nrs
from pruners.regularisers.persistence import Persistence
from pruners.regularisers.slimming import Slimming

__all__ = ["AndOr", "Nrs", "Persistence", "Regulariser", "Slimming", "hook"]
