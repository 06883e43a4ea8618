"""Forward passes in float64, also where forward() casts to float32."""

from collections.abc import Callable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from typing_extensions import override


@final
class Double(TorchFunctionMode):
    """A context in which casts to float32 are casts to float64, such as those of the spikes of spiking neurons."""

    @override
    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if func is Tensor.float:
            func = Tensor.double
        elif func is Tensor.to:
            args = [torch.float64 if value is torch.float32 else value for value in args]
            kwargs = {name: torch.float64 if v is torch.float32 else v for name, v in (kwargs or {}).items()}
        return func(*args, **(kwargs or {}))
