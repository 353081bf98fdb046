"""Norm clipping: no change counts for more than a bound.

    mean = sum of p_i · min(1, M/|d_i|) · d_i

Sun et al. 2019, "Can You Really Backdoor Federated Learning?", arXiv 1911.07963, on norm thresholding.
Layers and head are clipped apart, for poison in a head would hide behind the layers' larger norm. The paper's
M is fixed; where none is given it is the median of the norms of the updates that are merged, times
``factor``: a bound that less than half of them cannot push up. One update alone is then never clipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fleetlora.lora.aggregation import share_rows
from fleetlora.lora.changes import Change, heads_of, norms, owners
from fleetlora.lora.robust import ChangeRule
from fleetlora.lora.robust_rules import ROBUST_RULES
from fleetlora.settings import quantity

__all__ = ["NormClip"]


@ROBUST_RULES.register("norm-clip")
class NormClip(ChangeRule):
    """The weighted mean of changes, each clipped to a norm.

    Args:
        factor: Times the median norm.
        layers_norm: A fixed bound for the layers instead.
        head_norm: A fixed bound for the head instead.
    """

    factor: float = quantity(1.0, "1", "norm-clip: a change's norm is at most so many medians", gt=0)
    layers_norm: float | None = quantity(
        None, "1", "norm-clip: fixed bound of the layers' norm instead", "arXiv 1911.07963", gt=0
    )
    head_norm: float | None = quantity(
        None, "1", "norm-clip: fixed bound of the head's norm instead", "arXiv 1911.07963", gt=0
    )

    def mean(
        self, changes: Sequence[Change], parts: Sequence[float], changed: Tensor | None = None
    ) -> Change:
        """Return the weighted mean of the clipped changes, of a layer or row over those who hold it."""
        found = norms(changes)
        medians = torch.quantile(found, 0.5, dim=0)
        if changed is not None and changed.any():
            medians[1] = torch.quantile(found[changed.any(1), 1], 0.5)
        fixed = (self.layers_norm, self.head_norm)
        mine = (self.factor * medians).tolist()
        bound = torch.tensor([m if f is None else f for m, f in zip(mine, fixed, strict=True)])
        kept = torch.where(found > bound, bound.double() / found.clamp(min=1e-300), 1.0)
        layers = {}
        for name, held in owners(changes, parts).items():
            pairs = [(share * kept[i, 0], *changes[i].layers[name]) for i, share in held]
            layers[name] = (
                torch.cat([share * B for share, B, _ in pairs], dim=1),
                torch.cat([A for _, _, A in pairs], dim=0),
            )
        share, heads = torch.tensor(parts, dtype=torch.float64), heads_of(changes)
        if changed is None:
            share = share * kept[:, 1]
            return Change(layers, {n: torch.tensordot(share, values, dims=1) for n, values in heads.items()})
        rows = share_rows(share[:, None] * changed) * kept[:, 1:]
        return Change(layers, {n: torch.einsum("nc,nc...->c...", rows, v) for n, v in heads.items()})
