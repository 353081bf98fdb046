"""Random streams: one experiment seed, one independent generator for every named use.

A stream depends only on the seed and its name, never on how often others were drawn from, so
adding a random choice in one place changes nothing elsewhere.
"""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["stream", "stream_seed"]


def stream_seed(seed: int, *name: str | int) -> int:
    """Return the 63-bit seed of the stream ``name`` under the experiment's ``seed``."""
    text = "\x1f".join([str(seed), *map(str, name)]).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """Return a fresh generator for the stream ``name``, for example ``stream(7, "admission", 12)``."""
    return np.random.default_rng(stream_seed(seed, *name))
