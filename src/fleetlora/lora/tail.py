"""The model that is handed out: the cloud's last one, or the mean of its models over the last part of a run.

Few vehicles take part in a round, so the cloud's model jitters from sync to sync; the mean of the last ones
does not (Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging"; Rakhlin et al.
2012, arXiv 1109.5647, for the mean of a last part). It is a mean of products and heads, so it suits every
aggregation rule. Training goes on from the last model, not from the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetlora.lora.adapter import Adapter
from fleetlora.lora.product import Product
from fleetlora.tail import tail_length

__all__ = ["TailMean"]


class TailMean:
    """Keeps the models of the last part of all syncs so far.

    Args:
        share: Part of the syncs whose models are averaged, in [0, 1]; 0 is the last model alone.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self._kept: list[Adapter] = []
        self._added = 0

    def add(self, model: Adapter) -> None:
        """Take note of the cloud's model after a sync."""
        self._added += 1
        self._kept.append(model)
        del self._kept[: -self._wanted]

    def mean(self, start: Adapter) -> Adapter:
        """Return the mean of the kept models at the highest rank among them; ``start`` if there is none."""
        if len(self._kept) < 2:
            return self._kept[-1] if self._kept else start
        highest = max(model.rank for model in self._kept)
        return Product(max_rank=highest or None).combine(self._kept, [1.0] * len(self._kept))

    def state_dict(self) -> dict[str, Any]:
        """Return the kept models, and how many were added."""
        return {"added": self._added, "kept": [model.state_dict() for model in self._kept]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self._added = int(state["added"])
        self._kept = [Adapter.from_state(model) for model in state["kept"]]

    @property
    def _wanted(self) -> int:
        return int(tail_length(self.share, self._added))
