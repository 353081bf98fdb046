"""The registry of aggregation rules, free of torch; the rules are imported when one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetlora.registry import Registry

if TYPE_CHECKING:
    from fleetlora.lora.aggregation import AggregationRule

__all__ = ["AGGREGATION_RULES"]

#: Aggregation rules by the name that a configuration uses.
AGGREGATION_RULES: Registry[type[AggregationRule]] = Registry(
    "aggregation rule",
    modules=tuple(
        f"fleetlora.lora.{rule}"
        for rule in ("fedit", "fedra", "ffa", "flexlora", "flora", "hetlora", "product")
    ),
)
