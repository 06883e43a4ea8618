"""Exported networks: a file that is run as it is shipped, not rebuilt from an architecture."""

import warnings
from dataclasses import dataclass
from typing import Final, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.networks.costs.cost import Cost
from neuralnets.device import device_of
from neuralnets.probes import ramp

Kind = Literal["torch.export", "onnx"]
_ROUNDING: Final = 1e-5
"""Relative to the largest output: libraries add up in another order when the batch is another."""


@final
@dataclass(frozen=True, kw_only=True)
class FileInfo:
    """What is read off an exported file without running it on examples.

    Attributes:
        kind: Its format.
        sha256: Of the file's bytes, and of those of the files beside it that hold its tensors; 64 hex digits.
        batch: Images that it takes at once; None: any number.
        megabytes: Its size, 10^6 bytes.
        cost: What it costs for one image; None where that cannot be told.
        uncounted: Why it cannot.
    """

    kind: Kind
    sha256: str
    batch: int | None
    megabytes: float
    cost: Cost | None
    uncounted: str | None = None


@final
class Artefact(nn.Module):
    """A network that runs an exported file: images (n, c, h, w) in [0, 1], any n, to logits (n, classes).

    A file made for one size of batch is run batch by batch, the last one filled up with copies of its last image.
    Where the logits of an image depend on the other images of the batch (dynamic quantisation takes its range from all
    of them), every image is run alone, as it is in use: filled up with copies of itself.

    Attributes:
        info: What is known of the file.
        alone: Whether images are run one by one.
        place: An empty tensor that says where images are expected.
    """

    def __init__(self, core: nn.Module, info: FileInfo, shape: tuple[int, int, int]) -> None:
        """Wraps what runs the file; `core` is kept, not copied. Runs a few images of `shape`."""
        nn.Module.__init__(self)
        self.info = info
        self.core = core
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)
        self.alone = False
        self.alone = info.batch != 1 and self._neighbours_matter(shape)

    @override
    def forward(self, images: Tensor) -> Tensor:
        size = self.info.batch
        if size is None and not self.alone:
            return self._run(images)
        size = size or 1
        if self.alone:
            parts = [image[None].expand(size, -1, -1, -1) for image in images]
            return torch.cat([self._run(part)[:1] for part in parts]) if parts else self._run(images)
        outputs = [self._filled(part, size) for part in images.split(size)]
        return torch.cat(outputs)

    @override
    def __repr__(self) -> str:
        # what it is made of stands in the file: digests of networks are made from these words
        return f"Artefact({self.info.kind}, sha256={self.info.sha256}, alone={self.alone})"

    def _filled(self, part: Tensor, size: int) -> Tensor:
        missing = size - len(part)
        whole = torch.cat([part, part[-1:].expand(missing, -1, -1, -1)]) if missing and len(part) else part
        return self._run(whole)[: len(part)]

    def _run(self, images: Tensor) -> Tensor:
        logits: Tensor = self.core(images.contiguous())
        return logits

    def _neighbours_matter(self, shape: tuple[int, int, int]) -> bool:
        image = ramp(shape, self.place.device)
        size = self.info.batch or 3
        with torch.no_grad():
            alike = self._run(image.expand(size, -1, -1, -1))[0]
            beside = self._run(torch.cat([image, 1000 * image.expand(size - 1, -1, -1, -1)]))[0]
        # not "any is further": what is not a number is no agreement
        return not bool(((alike - beside).abs() <= _ROUNDING * (1 + alike.abs().amax())).all())


def artefact_in(network: nn.Module) -> Artefact | None:
    """The file that `network` runs, where it does."""
    return next((module for module in network.modules() if isinstance(module, Artefact)), None)


def differentiable(network: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Whether torch finds its way from the logits back to the images: whether there is anything that ascends a loss.

    A gradient that is zero counts as one: to tell whether it hides something is the attacks' business.

    Args:
        network: Run and derived once, on one image.
        shape: (channels, height, width) of the images.
    """
    device = device_of(network)
    image = torch.full((1, *shape), 0.5, device=device, requires_grad=True)
    with torch.enable_grad(), warnings.catch_warnings():
        # operators without a derivative say so, and give no gradient
        warnings.filterwarnings("ignore", message=".*autograd kernel was not registered", category=UserWarning)
        logits = network(image)
        if not logits.requires_grad:
            return False
        try:
            (gradient,) = torch.autograd.grad(logits.sum(), image, allow_unused=True)
        except (RuntimeError, NotImplementedError):
            return False
    return gradient is not None
