"""Randomness without state: every number is a hash of what it is for, so it never depends on what was asked before."""

import random
from hashlib import blake2b
from statistics import NormalDist

_NORMAL = NormalDist()


def hashed_bits(*key: object) -> int:
    """64 bits that depend on the key alone."""
    return int.from_bytes(blake2b("|".join(map(str, key)).encode(), digest_size=8).digest(), "big")


def uniform(*key: object) -> float:
    """A number strictly between 0 and 1."""
    return ((hashed_bits(*key) >> 12) + 0.5) / 2.0**52


def normal(*key: object) -> float:
    """A standard normal number."""
    return _NORMAL.inv_cdf(uniform(*key))


def number_stream(*key: object) -> random.Random:
    """A generator for when many numbers are wanted for one key."""
    return random.Random(hashed_bits(*key))
