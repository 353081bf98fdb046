"""The registry of robust rules, free of torch; the rules are imported when one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetlora.registry import Registry

if TYPE_CHECKING:
    from fleetlora.lora.robust import RobustRule

__all__ = ["ROBUST_RULES"]

#: Robust rules by the name that a configuration uses.
ROBUST_RULES: Registry[type[RobustRule]] = Registry(
    "robust rule",
    modules=tuple(f"fleetlora.lora.{rule}" for rule in ("robust", "norm_clip", "multi_krum", "coordinates")),
)
