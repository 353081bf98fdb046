"""The default rule: average the products s·B·A themselves, exactly, whatever the ranks.

    model = sum of p_i · s_i · B_i · A_i        (p_i: sample shares, s_i = alpha_i / r_i)

Averaging A and B apart would add cross terms between vehicles, and leaving s out would weigh a vehicle by
its rank. The sum is kept as stacked factors, whose Gram matrices give its singular components
(:mod:`fleetlora.lora.factors`), of which every receiver gets as many as its rank holds.

A vehicle of low rank never receives the model's smaller components, so its update does not hold them, and
the plain sum shrinks them by its share. With ``keep_tail`` a vehicle is heard only on what it received:

    model' = model + sum of p_i · (s_i · B_i · A_i − model truncated to r_i)
           = sum of p_i · s_i · B_i · A_i + sum over c of t_c · component_c

where t_c is the share of the vehicles whose rank is too low to have received component c. With
``keep_classes`` the same holds of the head: its row of a class is the average over those vehicles that
changed it, and stays where none did; at the cloud an RSU's row counts with the samples of those. Vehicles
that train with ``own_classes`` leave alone the classes they have no samples of; a plain average would hear
their silence as a vote for the old row, and without ``own_classes`` every one of them pushes all classes
down that it does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fleetlora.lora import factors
from fleetlora.lora.adapter import Adapter
from fleetlora.lora.aggregation import average_changed_rows, average_rows, check_finite, layer_names, shares
from fleetlora.lora.factors import Components, Weighted
from fleetlora.lora.rules import AGGREGATION_RULES
from fleetlora.lora.summed import SummedRule, products_of
from fleetlora.settings import quantity

__all__ = ["Product"]


@AGGREGATION_RULES.register("product")
class Product(SummedRule):
    """Exact aggregation of the products; the model holds its components, largest first, split evenly.

    Args:
        max_rank: Highest rank an RSU or the cloud keeps; ``None`` keeps all there is: the sum of the
            updates' ranks, at most the layers' smaller dimension.
        keep_tail: Whether components that a vehicle never received stay as they are for its share.
        keep_classes: Whether a head's row is the average of those alone that changed it.
        bytes_per_param: Bytes of a parameter on the wire.
    """

    max_rank: int | None = quantity(
        None, "1", "highest rank of the aggregated model; none loses nothing", ge=1
    )
    keep_tail: bool = quantity(
        False, "1", "keep the components that a low-rank vehicle did not receive, for its share"
    )

    keep_classes: bool = quantity(
        False, "1", "average a class's row of the head over those updates alone that changed it"
    )

    @property
    def by_row(self) -> bool:
        """``keep_classes``."""
        return self.keep_classes

    def merge(self, updates: Sequence[Adapter], weights: Sequence[float], model: Adapter) -> Adapter:
        """Return the weighted sum of the updates' products, and what they never received if that is kept."""
        if not self.keep_tail:
            return super().merge(updates, weights, model)
        parts = shares(weights, len(updates))
        check_finite(updates)
        layers = {
            name: products_of(updates, parts, name) + _unreceived(updates, parts, model, name)
            for name in layer_names([*updates, model])
        }
        return self.summed(layers, updates[0].alpha, self.head(updates, parts, model))

    def head(
        self, adapters: Sequence[Adapter], parts: Sequence[float], before: Adapter | None
    ) -> dict[str, Tensor]:
        """Return the average head; with ``keep_classes`` each row's over those that changed it."""
        if self.keep_classes and before is not None:
            return average_changed_rows(adapters, parts, before)
        return super().head(adapters, parts, before)

    def combine_rows(
        self, models: Sequence[Adapter], weights: Sequence[float], before: Adapter, rows: Tensor
    ) -> Adapter:
        """Return the combined models; with ``keep_classes`` a head's rows weigh what changed them."""
        combined = self.combine(models, weights, before)
        if not self.keep_classes:
            return combined
        return combined.with_head(average_rows(models, rows / sum(weights), before))

    def add_up(self, products: Sequence[Weighted]) -> Components:
        """Return the components of a weighted sum, the largest ``max_rank`` of them."""
        return factors.components(*factors.stack(products), self.max_rank)


def _unreceived(
    updates: Sequence[Adapter], parts: Sequence[float], model: Adapter, name: str
) -> list[Weighted]:
    """Return the model's components of a layer, each weighted with the share that did not receive it."""
    if name not in model.A:
        return []
    received = torch.tensor([update.rank if name in update.A else 0 for update in updates])
    lacking = received[:, None] <= torch.arange(model.rank)  # (vehicles, components)
    share = (torch.tensor(parts, dtype=torch.float64)[:, None] * lacking).sum(0)
    return [(model.scale, model.B[name].double() * share, model.A[name])] if share.any() else []
