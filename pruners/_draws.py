"""Random generators seeded by name: what is drawn for one layer does not depend on the others."""

from hashlib import blake2b

import torch


def generator(seed: int, name: str) -> torch.Generator:
    """A generator seeded with (seed, name), on the CPU, so that every device gets the same numbers."""
    digest = blake2b(f"{seed}\x1f{name}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
