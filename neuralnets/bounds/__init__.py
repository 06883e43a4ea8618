"""Guaranteed bounds on the outputs of a network over a set of inputs.

    from neuralnets import bounds

    graph = bounds.trace(network, images[:1])
    low = bounds.crown_ibp_margins(graph, bounds.linf_ball(images, 8 / 255), labels)
    certified = (low > 0).all(1)

Three methods, each tighter and dearer than the one before: `interval`, `crown_ibp`, `crown`. Each bounds the outputs
and, under the name with `_margins`, by how much the label is ahead of every other class. All work on batches, on the
network's device and in its type, treat the network as in evaluation mode whatever mode it is in, and are
differentiable. None of them sees more of a network than ReLU, max pooling and affine steps; `trace` refuses the rest.

Bounds hold in exact arithmetic. They are computed with rounding to nearest, so the last digits may be on the wrong
side: by about 1e-6 of the numbers that meet in a layer in float32 (in full on GPUs too, where torch would round
convolutions to TF32), 1e-15 in float64. Where a claim hangs on it, convert network and images to float64.
"""

from neuralnets.bounds._batch import at_batch as at_batch
from neuralnets.bounds._crown import crown as crown
from neuralnets.bounds._crown import crown_ibp as crown_ibp
from neuralnets.bounds._crown import crown_ibp_margins as crown_ibp_margins
from neuralnets.bounds._crown import crown_margins as crown_margins
from neuralnets.bounds._graph import Graph as Graph
from neuralnets.bounds._graph import Reweighted as Reweighted
from neuralnets.bounds._interval import Preactivation as Preactivation
from neuralnets.bounds._interval import interval as interval
from neuralnets.bounds._interval import interval_margins as interval_margins
from neuralnets.bounds._interval import preactivations as preactivations
from neuralnets.bounds._region import Ball as Ball
from neuralnets.bounds._region import Box as Box
from neuralnets.bounds._region import Region as Region
from neuralnets.bounds._region import l2_ball as l2_ball
from neuralnets.bounds._region import linf_ball as linf_ball
from neuralnets.bounds._trace import trace as trace
