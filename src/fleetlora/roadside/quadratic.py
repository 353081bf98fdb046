"""Where a convex quadratic lies below zero on a leg: the one equation behind every contact and handoff."""

from __future__ import annotations

import numpy as np

from fleetlora.roadside.ragged import Bools, Floats

__all__ = ["dips_below_zero", "span_below_zero"]


def dips_below_zero(a: Floats, b: Floats, c: Floats) -> Bools:
    """Tell whether a·u² + 2·b·u + c, with a ≥ 0, is below zero between two ends where it is not."""
    return (b < 0) & (a + b > 0) & (b * b > a * c)


def span_below_zero(a: Floats, b: Floats, c: Floats, at_start: Bools, at_end: Bools) -> tuple[Floats, Floats]:
    """Solve a·u² + 2·b·u + c < 0 for u in [0, 1]; with a ≥ 0 the answer is one interval.

    Whether it holds at u = 0 and u = 1 is told by the caller, who reads it off the fix itself: two legs that
    share a fix then agree about it to the last bit, and intervals join across legs without a tolerance.
    Of the two forms of each root the one without cancellation is used.

    Args:
        a: (n,) leading coefficient, not negative.
        b: (n,) half the linear coefficient.
        c: (n,) constant.
        at_start: (n,) whether it is below zero at u = 0.
        at_end: (n,) whether it is below zero at u = 1.

    Returns:
        First and last u of the interval; only meaningful where it is not empty, which is where ``at_start``,
        ``at_end`` or :func:`dips_below_zero` holds.
    """
    root = np.sqrt(np.maximum(b * b - a * c, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        first = c / (root - b)
        last = np.where(b > 0, -c / (root + b), (root - b) / a)
    first = np.where(at_start, 0.0, np.clip(first, 0.0, 1.0))
    last = np.where(at_end, 1.0, np.clip(last, 0.0, 1.0))
    return first, last
