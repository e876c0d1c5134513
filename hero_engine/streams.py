"""Random numbers by name: one independent stream for each (seed, epoch, purpose, number).

Nothing of a generator's state has to be stored: whatever was interrupted is done again with the
same numbers, in any order and in any process.
"""

import hashlib
from collections.abc import Iterable

import torch


def stream_seed(seed: int, epoch: int, purpose: str, number: int = 0) -> int:
    """A 63-bit seed that depends on all four arguments."""
    key = f"{seed}/{epoch}/{purpose}/{number}".encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1


def stream(seed: int, epoch: int, purpose: str, number: int = 0) -> torch.Generator:
    """A CPU generator at the start of that stream; the CPU's gives the same numbers everywhere."""
    return torch.Generator("cpu").manual_seed(stream_seed(seed, epoch, purpose, number))


def row_streams(seed: int, epoch: int, purpose: str, rows: Iterable[int]) -> list[torch.Generator]:
    """A generator for each row of a batch, so that results do not depend on how it is split."""
    return [stream(seed, epoch, f"{purpose}, by row", row) for row in rows]
