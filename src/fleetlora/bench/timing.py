"""Measuring speed: repeated, on one thread, in seconds of computing, told as a median with its spread.

Seconds are those that the processor worked for this process, the kernel's share included. On one thread of an
idle machine they are what a clock shows; on a busy one they leave out the waiting.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

__all__ = ["spread", "timed"]

T = TypeVar("T")


def timed(work: Callable[[], T], repeats: int = 1, enough_s: float = math.inf) -> tuple[list[float], T]:
    """Return the seconds of each repeat, fewer once they took ``enough_s``, and the last result."""
    seconds: list[float] = []
    while True:
        began = time.process_time()
        result = work()
        seconds.append(time.process_time() - began)
        if len(seconds) >= repeats or sum(seconds) >= enough_s:
            return seconds, result


def spread(seconds: Sequence[float]) -> dict[str, Any]:
    """Return the median of repeats, the least and the most, as JSON holds them."""
    return {
        "median_s": statistics.median(seconds),
        "least_s": min(seconds),
        "most_s": max(seconds),
        "repeats": len(seconds),
    }
