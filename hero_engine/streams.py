"""Random numbers by name: one independent stream for each (seed, epoch, purpose, part).

Nothing of a generator's state has to be stored: whatever was interrupted is done again with the
same numbers, in any order and in any process.
"""

import hashlib

import torch


def stream_seed(seed: int, epoch: int, purpose: str, part: int = 0) -> int:
    """A 63-bit seed that depends on all four arguments."""
    key = f"{seed}/{epoch}/{purpose}/{part}".encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1


def stream(seed: int, epoch: int, purpose: str, part: int = 0) -> torch.Generator:
    """A CPU generator at the start of that stream; the CPU's gives the same numbers everywhere."""
    return torch.Generator("cpu").manual_seed(stream_seed(seed, epoch, purpose, part))
