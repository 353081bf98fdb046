"""Coordinate-wise trimmed mean and median of changes, in a common basis of their own.

Yin et al. 2018, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML:

    trimmed mean   of every coordinate, leave out the b largest and b smallest of n values, average the rest
    median         of every coordinate, the middle value (the mean of the two in the middle)

The coordinates of a layer's change d_i = B_i·A_i are its entries between two orthonormal bases U (m, p) and
V (n, q) of all changes' columns and rows together:

    C_i = Uᵀ·B_i·A_i·V,   d_i = U·C_i·Vᵀ,   robust mean = U·(robust mean of the C_i)·Vᵀ

Every change lies in the span, so nothing is lost, and no (m, n) matrix is made while the ranks of all changes
sum to less than m and n; p and q never exceed them. What differs from the paper's coordinates, the entries of
the layer: the mean of all values is the same in any basis, the mean of some of them is not. Axes along
the vehicles' own directions would make it worthless: each coordinate would be one vehicle's and its median
zero. So the bases are the principal axes of all changes, turned by an orthogonal matrix drawn from a fixed
seed: every coordinate holds something of every change, as the layer's own entries do, and neither the order
of the vehicles nor how they split a product into factors matters. Heads are dense and small: theirs are the
paper's own coordinates.

Of n values b = floor(trim·n) are left out at each end; weights of those that stay are their samples. The
median has no weights. Two updates are averaged by either rule; one is taken as it is.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from fleetlora.lora.changes import Change, heads_of, owners
from fleetlora.lora.robust import ChangeRule
from fleetlora.lora.robust_rules import ROBUST_RULES
from fleetlora.rng import stream
from fleetlora.settings import quantity

__all__ = ["Median", "TrimmedMean", "median", "trimmed_mean"]

#: Axes whose singular value is below this share of the largest are rounding noise of float32 inputs.
_DEAD = 1e-7


class CoordinateRule(ChangeRule):
    """A robust mean of numbers, taken coordinate by coordinate."""

    def mean(
        self, changes: Sequence[Change], parts: Sequence[float], changed: Tensor | None = None
    ) -> Change:
        """Return the robust mean; a layer's is over those who hold it, a row's over those who changed it."""
        layers = {
            name: self._layer([changes[i].layers[name] for i, _ in held], [share for _, share in held])
            for name, held in owners(changes, parts).items()
        }
        weights = torch.tensor(parts, dtype=torch.float64)
        head = {
            name: self.middle(values, weights) if changed is None else self._rows(values, weights, changed)
            for name, values in heads_of(changes).items()
        }
        return Change(layers, head)

    @abstractmethod
    def middle(self, values: Tensor, weights: Tensor) -> Tensor:
        """Return the robust mean over the first axis of ``values`` (n, …), weights (n,)."""

    def _rows(self, values: Tensor, weights: Tensor, changed: Tensor) -> Tensor:
        """Return the robust mean of every row of ``values`` (n, classes, …) over those who changed it."""
        found = torch.zeros_like(values[0])
        for row in changed.any(0).nonzero().flatten().tolist():
            mine = changed[:, row]
            found[row] = self.middle(values[mine, row], weights[mine])
        return found

    def _layer(
        self, factors: Sequence[tuple[Tensor, Tensor]], weights: Sequence[float]
    ) -> tuple[Tensor, Tensor]:
        """Return the factors of one layer's robust mean."""
        U = _basis([B @ _root(A) for B, A in factors])
        V = _basis([A.T @ _root(B.T) for B, A in factors])
        cores = torch.stack([(U.T @ B) @ (A @ V) for B, A in factors])
        core = self.middle(cores, torch.tensor(weights, dtype=torch.float64))
        return (U @ core, V.T) if core.shape[1] <= core.shape[0] else (U, core @ V.T)


@ROBUST_RULES.register("trimmed-mean")
class TrimmedMean(CoordinateRule):
    """The mean of every coordinate without its largest and smallest values.

    Args:
        trim: Part of the values that is left out at each end.
    """

    trim: float = quantity(0.25, "1", "trimmed-mean: part left out at each end", ge=0, lt=0.5)

    def middle(self, values: Tensor, weights: Tensor) -> Tensor:
        """Return the trimmed mean."""
        return trimmed_mean(values, weights, self.trim)


@ROBUST_RULES.register("median")
class Median(CoordinateRule):
    """The median of every coordinate."""

    def middle(self, values: Tensor, weights: Tensor) -> Tensor:
        """Return the median."""
        return median(values)


def trimmed_mean(values: Tensor, weights: Tensor, trim: float) -> Tensor:
    """Return the weighted mean over the first axis without floor(trim·n) values at each end.

    Args:
        values: (n, …).
        weights: (n,) not all zero; where those that stay are, they count alike.
        trim: Part left out at each end, below one half.
    """
    n = len(values)
    out = math.floor(trim * n)
    ordered, order = values.sort(dim=0, stable=True)
    kept, share = ordered[out : n - out], weights[order[out : n - out]]
    share = torch.where(share.sum(dim=0, keepdim=True) > 0, share, 1.0)
    return (share * kept).sum(dim=0) / share.sum(dim=0)


def median(values: Tensor) -> Tensor:
    """Return the median over the first axis; of an even number, the mean of the two in the middle."""
    n, ordered = len(values), values.sort(dim=0).values
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def _root(A: Tensor) -> Tensor:
    """Return R (r, min(r, n)) with R·Rᵀ = A·Aᵀ, so that the columns of B·R span those of B·A alike."""
    upper: Tensor = torch.linalg.qr(A.T, mode="r").R
    return upper.T


def _basis(spans: Sequence[Tensor]) -> Tensor:
    """Return an orthonormal basis (m, p) of the columns of all ``spans``, turned so that none is sparse."""
    U, S, _ = torch.linalg.svd(torch.cat(list(spans), dim=1), full_matrices=False)
    live = int(torch.count_nonzero(_DEAD * S.max() < S)) if len(S) else 0
    turned: Tensor = U[:, :live] @ _turn(live)
    return turned


@lru_cache(maxsize=64)
def _turn(size: int) -> Tensor:
    """Return an orthogonal matrix (size, size), always the same one."""
    draws = stream(0, "turned basis", size).standard_normal((size, size))
    q, r = np.linalg.qr(draws)
    return torch.from_numpy(np.ascontiguousarray(q * np.sign(np.diag(r))))
