"""Coresets: channels are sampled by how much they can matter to the layer behind, which is re-weighted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, assert_never, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.copies import copied
from pruners._base import Context
from pruners._channel_pruner import ChannelPruner
from pruners._channels import ChannelGroup, Keep
from pruners._draws import generator
from pruners._ellipsoid import sensitivities
from pruners._folding import folded_filters, norms_behind
from pruners._importance_sampling import arrivals, places, unbiased_weights
from pruners._readers import largest_reading, scale_readings_


@final
@dataclass(frozen=True, kw_only=True)
class Coreset(ChannelPruner):
    """Samples the channels of each group by sensitivity and multiplies the weights that read them; needs no data.

    For any input, the layers behind get the same sums in expectation over `Context.seed`. A channel is the point
    p = (all its filters, bias), batch norm folded; w is the largest absolute weight by which it is read.

    - "mussay": sensitivity w |phi(beta |p|)| (Mussay et al. 2020, arXiv:1907.04018, and 2021, arXiv:2008.08316), here
      w |p|: for ReLU and its like, phi(beta t) = beta phi(t), and the radius beta of the inputs cancels.
    - "tukan": sensitivities of the points w p by peeling off subsets that bound all others in every direction, by
      Löwner ellipsoid and Carathéodory's theorem (Tukan et al. 2022, arXiv:2209.08554), see `pruners._ellipsoid`. The
      points are reduced to their r first principal directions, r the largest with 2 r^2 <= n / 4: with as many
      dimensions as weights, no point would be peeled off and all would be equal. Of fewer than 8 channels no direction
      is left; they are sampled as in "mussay". That reduction, the ellipsoid around the origin and one coreset for all
      neurons behind (by the largest weight) are ours, not confirmed by the paper.

    Sampled is until the asked number of distinct channels is found, as in the authors' code; the weights are those of
    `pruners._importance_sampling`, which are unbiased although drawing stops then. Any sensitivities are: where a
    channel passes a depthwise convolution or a gate, or its normalisation stands elsewhere, they are only less sharp.
    Large weights make single networks noisy: retrain. Scores are places in the order of the draws; "uniform" is how
    they are meant to be allocated. All layers are sampled at once, from the weights as they come.

    Attributes:
        variant: Which sensitivities.

    Example:
        >>> from pruners import Coreset, prune
        >>> smaller = prune(network, Coreset(), 0.5, example=images[:1], seed=1)
        >>> smaller[0].out_channels, smaller[3].out_channels
        (6, 5)
    """

    criterion: ClassVar[str] = "a draw by sensitivity to the filter and the weights that read it"
    paper: ClassVar[str] = "Mussay et al. 2020, arXiv:1907.04018; Tukan et al. 2022, arXiv:2209.08554"
    nested: ClassVar[bool] = True
    adjusts: ClassVar[bool] = True
    variant: Literal["mussay", "tukan"] = "mussay"

    @override
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        behind = norms_behind(network, context.example)
        return [places(self._drawn(network, group, behind, context)[1]) for group in groups]

    @override
    def refit(self, network: nn.Module, keep: Keep, context: Context) -> nn.Module:
        behind = norms_behind(network, context.example)
        reweighted = copied(network)
        for group, stays in keep.items():
            scale_readings_(reweighted, group, unbiased_weights(*self._drawn(network, group, behind, context), stays))
        return reweighted

    def _drawn(
        self, network: nn.Module, group: ChannelGroup, behind: Mapping[str, str], context: Context
    ) -> tuple[Tensor, Tensor]:
        # sensitivities and times of arrival; the same whenever asked for
        importance = self.sensitivity(network, group, behind)
        return importance, arrivals(importance, generator(context.seed, str(group)))

    def sensitivity(self, network: nn.Module, group: ChannelGroup, behind: Mapping[str, str]) -> Tensor:
        """How much each channel of `group` can matter, (size,), float64, on the CPU, of any scale.

        Args:
            network: Not changed.
            group: The channels.
            behind: Layer → normalisation directly behind it.

        Raises:
            ValueError: A weight is not finite.
        """
        points = folded_filters(network, group, behind)
        points = points * largest_reading(network, group).unsqueeze(1)
        if not bool(points.isfinite().all()):
            raise ValueError(f"expected finite weights, got NaN or infinity in {group} or what reads it")
        match self.variant:
            case "mussay":
                return points.square().sum(1).sqrt()
            case "tukan":
                reduced = principal(points)
                if reduced is None:
                    return points.square().sum(1).sqrt()
                return torch.from_numpy(sensitivities(reduced))
        assert_never(self.variant)


def principal(points: Tensor) -> NDArray[np.float64] | None:
    """Points (n, d) in their first r principal directions, r the largest with 2 r^2 <= n / 4; None if that is none."""
    count = int((len(points) / 8) ** 0.5)
    if not count or not bool(points.any()):
        return None
    _, _, directions = torch.linalg.svd(points, full_matrices=False)
    # a product with the points themselves keeps zeros exactly zero
    return np.asarray((points @ directions[:count].T).numpy(), dtype=np.float64)
