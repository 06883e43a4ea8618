"""What a network makes of images just before it names their classes: the input of its last linear layer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from neuralnets.forward_hooks import attached


def classifier(network: nn.Module, image: Tensor) -> nn.Linear | None:
    """The last linear layer, if its output is the logits as they are, else None. Runs `image` (1, c, h, w).

    Found by what it puts out and not by its name, since names differ from one architecture to the next.
    """
    last: list[tuple[nn.Linear, Tensor]] = []

    def note(layer: nn.Module, _: object, output: Tensor) -> None:
        assert isinstance(layer, nn.Linear)  # noqa: S101 - hooked below
        last[:] = [(layer, output)]

    handles = [layer.register_forward_hook(note) for layer in network.modules() if isinstance(layer, nn.Linear)]
    with attached(handles), torch.inference_mode():
        logits = network(image)
    # a broken network puts out what is not a number, from the same layer as any other
    if not last or last[0][1].shape != logits.shape or not _same(last[0][1], logits):
        return None
    return last[0][0]


def _same(first: Tensor, second: Tensor) -> bool:
    return torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)


@contextmanager
def penultimate(networks: Sequence[nn.Module], image: Tensor) -> Iterator[list[Tensor]]:
    """What goes into the networks' classifiers, each (n, width), after each of them was run inside of the context.

    `image` (1, c, h, w) is run once beforehand, to find them; there is one in each network.
    """
    features: list[Tensor] = [image.new_empty(0)] * len(networks)

    def noting(place: int, network: nn.Module) -> torch.utils.hooks.RemovableHandle:
        layer = classifier(network, image)
        assert layer is not None  # noqa: S101 - others are refused before

        def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            features[place] = given[0].float()

        return layer.register_forward_pre_hook(note)

    handles = [noting(place, network) for place, network in enumerate(networks)]
    with attached(handles):
        yield features
