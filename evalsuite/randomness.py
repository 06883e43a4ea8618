"""Random numbers as a pure function of (seed, purpose, example, draw): the common random numbers of a run.

Every value is computed from a counter, so one example can be redone alone, in any batch, shard or order, and every
network meets the same draw. The generator is SplitMix64 (Steele, Lea and Flood 2014, figure 15: the finaliser by
Stafford, variant 13) read at position `counter` of the stream that `key` opens.
"""

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def derive(*parts: str | int) -> int:
    """A signed 64-bit key for the given parts, e.g. `derive(run_seed, "noise/uniform/0.1", example_id, draw)`."""
    text = "\x1f".join(f"{type(p).__name__}:{p}" for p in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def keys(seed: int, purpose: str, examples: Sequence[str], draw: int = 0) -> Tensor:
    """One key per example, shape (n,), int64: the argument of `uniform` and `normal`."""
    return torch.tensor([derive(seed, purpose, example, draw) for example in examples], dtype=torch.int64)


def fold(keys: Tensor, number: int | Tensor) -> Tensor:
    """Independent keys derived from `keys`, for further fields of random numbers of the same examples.

    `number` is an integer >= 0, or an int64 tensor that is broadcast against `keys`.
    """
    counter = torch.as_tensor(number, dtype=torch.int64, device=keys.device) + 1
    return _mix(keys ^ _mix(counter * _GOLDEN))


def uniform(keys: Tensor, shape: Sequence[int], *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform draws from [0, 1), shape (n, *shape), on the device of `keys`; row i depends on keys[i] only."""
    bits = _bits(keys, shape)
    if dtype == torch.float64:
        return _shift_right(bits, 11).to(dtype) * 2.0**-53
    return (_shift_right(bits, 40).to(torch.float32) * 2.0**-24).to(dtype)


def normal(keys: Tensor, shape: Sequence[int]) -> Tensor:
    """Standard normal draws, float32, shape (n, *shape), |value| < 6.7; Box and Muller 1958, the cosine branch.

    One 64-bit word gives one draw: 32 bits the radius, so that the tail is fine-grained, and 24 bits the angle.
    """
    bits = _bits(keys, shape)
    radius = (_shift_right(bits, 32).double() + 1.0).mul_(2.0**-32).float().log_().mul_(-2.0).sqrt_()
    angle = (bits & 0xFFFFFF).float().mul_(2.0 * math.pi * 2.0**-24).cos_()
    return radius.mul_(angle)


def integers(keys: Tensor, low: int, high: int, shape: Sequence[int] = ()) -> Tensor:
    """Integers drawn uniformly from low, ..., high - 1, int64, shape (n, *shape)."""
    return low + (uniform(keys, shape, dtype=torch.float64) * (high - low)).long().clamp(max=high - low - 1)


def _bits(keys: Tensor, shape: Sequence[int]) -> Tensor:
    count = 1
    for side in shape:
        count *= side
    counter = torch.arange(1, count + 1, dtype=torch.int64, device=keys.device) * _GOLDEN
    return _mix(_mix(keys)[:, None] + counter).view(len(keys), *shape)


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift_right(z, 30)) * _MIX_1
    z = (z ^ _shift_right(z, 27)) * _MIX_2
    return z ^ _shift_right(z, 31)


def _shift_right(z: Tensor, by: int) -> Tensor:
    # torch shifts signed integers arithmetically; the mask makes it the logical shift of the paper
    return (z >> by) & ((1 << (64 - by)) - 1)
