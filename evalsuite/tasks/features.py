"""Informative features: the few pixels by which a network decides, and what other networks recognise in them."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.data._base import Batch
from evalsuite.networks.normalized import Normalized
from evalsuite.networks.programs.program import differentiable
from evalsuite.problems import probabilities
from evalsuite.tasks._abilities import ChecksNetworks, Pairwise, PerNetwork
from evalsuite.tasks._base import Column, Domain, Observations

_AT_ONCE = 256
"""Candidates in one forward pass; never of two images, so that no example depends on its neighbours."""
_CIFAR = 32 * 32
_LARGEST = 64 * 64


@final
@dataclass(frozen=True, kw_only=True)
class Features(PerNetwork, Pairwise, ChecksNetworks):
    """Keeps the pixels that matter most for the network's own prediction and masks all others.

    BackSelect (Carter et al. 2019, arXiv:1810.03805): starting from the whole image, the pixel is masked whose masking
    leaves the network surest of the class that it predicts on the whole image; then the next one, until the asked share
    is left. Which networks recognise the true class in which networks' pixels is the matrix of Lost in Pruning
    (Liebenwein et al. 2021), section 4. A pixel is masked in all channels, by the colour that the network normalises to
    0; of equals the first goes. How sure a network is, is told in log-odds: the same order as by probabilities, without
    their rounding to 1.

    Columns: `top`, the class predicted on the whole image; `kept`, packed bits, first pixel first; `own_confidence`,
    the probability of the true class given the kept pixels alone; in the second pass `lent_confidence`, the same given
    the pixels that another network kept.

    Attributes:
        share: Of pixels kept, in (0, 1). The paper keeps 10 %.
        method: "exact": each remaining pixel is tried at each step, as in the paper. "gradient": several pixels a step,
            by the first-order effect of masking them (Carter et al. 2021, arXiv:2003.08907).
        steps: Gradients taken by "gradient", >= 1; without effect on "exact".
    """

    version: ClassVar[int] = 2
    shard_size: ClassVar[int] = 64
    path: ClassVar[tuple[str, ...]] = ("share",)
    usage: ClassVar[tuple[str, ...]] = ("features/0.1", "features/0.1?method=exact")

    share: float = 0.1
    method: Literal["gradient", "exact"] = "gradient"
    steps: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"expected 0 < share < 1, got {self.share}")
        if self.steps < 1:
            raise ValueError(f"expected steps >= 1, got {self.steps}")

    @override
    def observe_network(self, network: nn.Module, shard: Batch, *, seed: int) -> tuple[Observations, Tensor]:
        del seed
        top, kept = self._kept(network, shard.images)
        return _columns(network, shard, top, kept), _masked(network, shard.images, kept)

    @override
    def observe_pair(self, network: nn.Module, shard: Batch, other: Observations) -> Observations:
        kept = torch.from_numpy(unpacked(other["kept"], shard.images[0, 0].numel())).to(shard.images.device)
        return {"lent_confidence": _truth(network, shard, kept)}

    @override
    def unsupported_reason(self, domain: Domain) -> str | None:
        pixels = domain.shape[1] * domain.shape[2]
        if domain.classes < 2:
            return "there is no other class to tell the true one from"
        if pixels < 2:
            return "there is one pixel"
        if self.method == "exact" and pixels > _LARGEST:
            return f"method=exact takes {self.forward_passes(domain):,.0f} passes an image: use method=gradient"
        return None

    @override
    def unsupported_network_reason(self, network: nn.Module, domain: Domain) -> str | None:
        if self.method == "exact" or differentiable(network, domain.shape):
            return None
        return "a network of this run has no gradients (quantised, or run by onnxruntime): method=exact needs none"

    @override
    def forward_passes(self, domain: Domain | None = None) -> float:
        """Those on 32 × 32 pixels where there is no `domain`."""
        pixels = _CIFAR if domain is None else domain.shape[1] * domain.shape[2]
        keep = _count(self.share, pixels)
        if self.method == "gradient":
            return 2.0 + 3.0 * min(self.steps, pixels - keep)
        return 2.0 + (pixels * (pixels + 1) - keep * (keep + 1)) / 2

    @override
    def note(self, domain: Domain) -> str | None:
        if self.method == "exact":
            return None
        return "pixels are chosen by gradients, several a step, which finds other ones than trying each (method=exact)"

    @override
    def title(self) -> str:
        return f"the {100 * self.share:g} % of pixels that matter most to a network"

    def _kept(self, network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """Own classes (n,) and which pixels are kept, (n, pixels)."""
        with torch.no_grad():
            top = network(images).argmax(-1)
        keep = _count(self.share, images[0, 0].numel())
        if self.method == "gradient":
            return top, _by_gradient(network, images, top, keep, self.steps)
        rows = [
            _one_by_one(network, image, prediction, keep)
            for image, prediction in zip(images, top.tolist(), strict=True)
        ]
        return top, torch.stack(rows)


def unpacked(kept: Column, pixels: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Which pixels a stored row of bits keeps, (n, pixels)."""
    bits = np.unpackbits(np.asarray(kept, dtype=np.uint8), axis=1, count=pixels)
    return np.asarray(bits, dtype=np.bool_)


def _count(share: float, pixels: int) -> int:
    return min(max(round(share * pixels), 1), pixels - 1)


def _columns(network: nn.Module, shard: Batch, top: Tensor, kept: Tensor) -> Observations:
    return {
        "top": top.to(torch.int32).cpu().numpy(),
        "kept": np.packbits(kept.cpu().numpy(), axis=1),
        "own_confidence": _truth(network, shard, kept),
    }


@torch.inference_mode()
def _truth(network: nn.Module, shard: Batch, kept: Tensor) -> Column:
    """The probability of the true class, given the kept pixels alone."""
    shares = probabilities(network(_masked(network, shard.images, kept)).float())
    truth: Tensor = shares.gather(-1, shard.labels[:, None])[:, 0]
    return truth.cpu().numpy()


def _colour(network: nn.Module, images: Tensor) -> Tensor:
    """What the network normalises to 0, shape (c, 1, 1); the middle of the range where it does not normalise."""
    if isinstance(network, Normalized):
        return network.mean[:, None, None]
    return images.new_full((images.shape[1], 1, 1), 0.5)


def _masked(network: nn.Module, images: Tensor, kept: Tensor) -> Tensor:
    """Images (n, c, h, w) of which the pixels `kept` (n, h w) remain."""
    mask = kept.reshape(len(images), 1, *images.shape[2:])
    return torch.where(mask, images, _colour(network, images))


def _log_odds(logits: Tensor, prediction: Tensor) -> Tensor:
    """Log-odds of the classes `own`, (n,): p / (1 - p), which grows with p."""
    logits = logits.float()
    others = logits.scatter(-1, prediction[:, None], -torch.inf).logsumexp(-1)
    chosen: Tensor = logits.gather(-1, prediction[:, None])[:, 0]
    return chosen - others


def _by_gradient(network: nn.Module, images: Tensor, prediction: Tensor, keep: int, steps: int) -> Tensor:
    """Evenly many pixels a step: those whose masking costs least, to first order."""
    pixels = images[0, 0].numel()
    kept = torch.ones(len(images), pixels, dtype=torch.bool, device=images.device)
    contrast = images - _colour(network, images)
    steps = min(steps, pixels - keep)
    for step in range(steps):
        drop = (pixels - keep) * (step + 1) // steps - (pixels - keep) * step // steps
        shown = _masked(network, images, kept).requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(_log_odds(network(shown), prediction).sum(), shown)
        # masking moves a pixel by -contrast: what is lost is slope · contrast, over all channels
        cost = (slope * contrast).sum(1).flatten(1).masked_fill(~kept, torch.inf)
        kept = kept.scatter(1, cost.argsort(dim=1, stable=True)[:, :drop], value=False)
    return kept


@torch.inference_mode()
def _one_by_one(network: nn.Module, image: Tensor, prediction: int, keep: int) -> Tensor:
    """BackSelect itself, on one image (c, h, w): which pixels are kept, (h w,)."""
    colour = _colour(network, image[None])[..., 0]
    current = image.flatten(1).clone()
    kept = torch.ones(current.shape[1], dtype=torch.bool, device=image.device)
    for _ in range(current.shape[1] - keep):
        candidates = kept.nonzero()[:, 0]
        scores = [
            _tried(network, current, part, colour, prediction, image.shape) for part in candidates.split(_AT_ONCE)
        ]
        joined = torch.cat(scores)
        # argmax does not promise the first of equals
        gone = candidates[(joined == joined.max()).nonzero()[0, 0]]
        kept[gone] = False
        current[:, gone] = colour[:, 0]
    return kept


def _tried(
    network: nn.Module, current: Tensor, candidates: Tensor, colour: Tensor, prediction: int, shape: torch.Size
) -> Tensor:
    """How sure the network stays when each of the candidates alone is masked too."""
    n = len(candidates)
    tried = current.expand(n, -1, -1).clone()
    tried[torch.arange(n), :, candidates] = colour[:, 0]
    return _log_odds(network(tried.reshape(n, *shape)), torch.full((n,), prediction, device=current.device))
