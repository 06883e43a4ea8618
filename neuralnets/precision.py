"""Full float32 precision on GPUs, whose convolutions round to ten bits by default."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_float32() -> Iterator[None]:
    """Convolutions and matrix products in the 23 bits of float32; also a decorator.

    By torch's default cuDNN computes convolutions in TF32, with errors of about 1e-3: a certificate would not hold, and
    what is said of a network would depend on the device. What was set before is put back.
    """
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # torch adds it when it is imported
    products = torch.backends.cuda.matmul
    before = (convolutions.fp32_precision, products.fp32_precision)
    convolutions.fp32_precision = products.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision, products.fp32_precision = before
