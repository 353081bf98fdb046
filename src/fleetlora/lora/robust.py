"""Robust merging: how an RSU merges updates some of which may be poison, on top of an aggregation rule.

There are two kinds. A *selecting* rule leaves updates out and hands the rest to the aggregation rule,
whatever it is: ``multi-krum``. The others put a robust mean of the changes (:mod:`fleetlora.lora.changes`) in
the place of their weighted mean, which is sound where a model is a sum of products:

    model' = what the aggregation rule makes of what was sent out, unchanged  +  robust mean of the changes

With the plain weighted mean this is the aggregation rule itself, for that is linear in the products (FLoRA,
FlexLoRA, FedRA, and the product rule with or without ``keep_tail`` and ``keep_classes``; where ``max_rank``
cuts, the sum is cut once more). As a layer's mean is over those that hold it, with ``keep_classes`` that of a
row of the head is over those that changed it: among many that left it alone, theirs would be trimmed away.
FedIT, HetLoRA and FFA average A and B apart, so no change of a product can be added to their models; they
take the selecting kind alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from fleetlora.errors import ConfigError
from fleetlora.lora.adapter import Adapter
from fleetlora.lora.aggregation import AggregationRule, changed_rows, shares
from fleetlora.lora.changes import Change, change_of
from fleetlora.lora.robust_rules import ROBUST_RULES
from fleetlora.lora.summed import SummedRule, products_of
from fleetlora.settings import Settings

__all__ = ["ChangeRule", "PlainMean", "RobustRule"]


class RobustRule(Settings):
    """One way to merge updates that may be poison; itself the plain way, the aggregation rule's own."""

    def check(self, rule: AggregationRule) -> None:
        """Refuse an aggregation rule that this does not go with.

        Raises:
            ConfigError: Names both.
        """

    def chosen(self, received: Sequence[Adapter], updates: Sequence[Adapter]) -> list[int]:
        """Return which updates are merged at all, in their order: every one, if not said otherwise."""
        return list(range(len(updates)))

    def merge(
        self,
        rule: AggregationRule,
        received: Sequence[Adapter],
        updates: Sequence[Adapter],
        weights: Sequence[float],
        model: Adapter,
    ) -> Adapter:
        """Return the model that updates make of ``model``: what the aggregation rule makes of the chosen.

        Args:
            rule: The aggregation rule.
            received: What each vehicle received.
            updates: What each sent back, at least one.
            weights: Samples behind each update.
            model: The model before this round.
        """
        mine = self.chosen(received, updates)
        return rule.merge([updates[i] for i in mine], [weights[i] for i in mine], model)


@ROBUST_RULES.register("mean")
class PlainMean(RobustRule):
    """No robust merging: the aggregation rule alone."""


class ChangeRule(RobustRule, ABC):
    """A robust rule that puts another mean in the place of the weighted mean of the changes."""

    def check(self, rule: AggregationRule) -> None:
        """Refuse rules whose model is not a sum of products."""
        if not isinstance(rule, SummedRule):
            raise ConfigError(
                "does not go with an aggregation rule that averages A and B apart",
                where="defence.rule",
                mend="use multi-krum, or aggregation.rule = product, flexlora, flora or fedra",
            )

    def merge(
        self,
        rule: AggregationRule,
        received: Sequence[Adapter],
        updates: Sequence[Adapter],
        weights: Sequence[float],
        model: Adapter,
    ) -> Adapter:
        """Return the model as it would be had nobody changed anything, and the robust mean on top."""
        assert isinstance(rule, SummedRule)  # check() has refused others
        parts = shares(weights, len(updates))
        pairs = list(zip(received, updates, strict=True))
        changed = torch.stack([changed_rows(u, r) for r, u in pairs]) if rule.by_row else None
        mean = self.mean([change_of(r, u) for r, u in pairs], parts, changed)
        still = rule.merge(received, weights, model)
        names = dict.fromkeys([*still.names, *mean.layers])
        layers = {
            name: products_of([still], [1.0], name)
            + ([(1.0, *mean.layers[name])] if name in mean.layers else [])
            for name in names
        }
        head = {name: (value.double() + mean.head[name]).float() for name, value in still.head.items()}
        return rule.summed(layers, still.alpha, head)

    @abstractmethod
    def mean(
        self, changes: Sequence[Change], parts: Sequence[float], changed: Tensor | None = None
    ) -> Change:
        """Return the robust mean of n changes.

        Args:
            changes: At least one.
            parts: (n,) their shares, which sum to one.
            changed: (n, classes) which of them count in each row of the head, zero where none does; all
                of them in every row if not given.
        """
