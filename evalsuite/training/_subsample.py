"""Works round a crash of oneDNN in training channel-pruned networks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

_SAFE_CHANNELS = 8


@contextmanager
def subsampled(network: nn.Module) -> Iterator[None]:
    """Narrow strided 1x1 convolutions take every stride-th pixel and then step by 1: the same numbers, no defect.

    torch 2.15 on CPUs: the weight gradient of a 1x1 convolution with stride 2 and fewer than 7 input channels, in
    channels-last layout, writes past its buffer and the process dies ("corrupted double-linked list"). Such layers are
    the shortcuts of ResNets once channels have been removed. Everything is put back at the end.
    """
    narrow = [module for module in network.modules() if isinstance(module, nn.Conv2d) and _is_narrow(module)]
    strides = [module.stride for module in narrow]
    handles = [module.register_forward_pre_hook(_every(module.stride)) for module in narrow]
    for module in narrow:
        module.stride = (1, 1)
    try:
        yield
    finally:
        for module, stride, handle in zip(narrow, strides, handles, strict=True):
            module.stride = stride
            handle.remove()


def _is_narrow(module: nn.Conv2d) -> bool:
    pointwise = module.kernel_size == (1, 1) and module.padding in {(0, 0), "valid"}
    return pointwise and module.stride != (1, 1) and module.in_channels < _SAFE_CHANNELS


def _every(stride: tuple[int, ...]) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    rows, columns = stride

    def keep(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0][:, :, ::rows, ::columns],)

    return keep
