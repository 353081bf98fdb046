"""How many threads arithmetic uses: torch, BLAS and OpenMP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["limit_threads", "one_thread"]


def limit_threads(count: int) -> Any:
    """Compute with so many threads; what is returned ends the limit of BLAS when its ``with`` block does."""
    import scipy.linalg  # noqa: F401 - it brings a BLAS of its own, and only what is loaded can be limited
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(count)
    return threadpool_limits(count)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread inside the block."""
    import torch

    before = torch.get_num_threads()
    try:
        with limit_threads(1):
            yield
    finally:
        torch.set_num_threads(before)
