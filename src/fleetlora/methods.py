"""Named methods: the policy, aggregation rule and departure rule that a comparison compares.

A method is a set of configuration values laid over an experiment, so that ``--method NAME`` and writing the
same values into the file are one and the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetlora.registry import Registry

__all__ = ["METHODS", "Method"]

#: Configuration values, section by section, as they would stand in the TOML file.
Method = Mapping[str, Mapping[str, Any]]

#: Methods by the name that ``--method`` and the key ``method`` use.
METHODS: Registry[Method] = Registry("method")

METHODS.register("fixed")(
    {"policy": {"name": "fixed"}, "aggregation": {"rule": "product"}, "departure": {"rule": "drop"}}
)
METHODS.register("random")(
    {"policy": {"name": "random"}, "aggregation": {"rule": "product"}, "departure": {"rule": "drop"}}
)
METHODS.register("head-only")(
    {
        "policy": {"name": "fixed"},
        "aggregation": {"rule": "product"},
        "departure": {"rule": "drop"},
        "training": {"train_adapter": False},
    }
)

METHODS.register("ucb-dual-paper")(
    {
        "policy": {"name": "ucb-dual", "skip": False, "pooled": False, "foresight": False},
        "aggregation": {"rule": "product"},
        "departure": {"rule": "drop"},
    }
)
METHODS.register("ucb-dual")(
    {"policy": {"name": "ucb-dual"}, "aggregation": {"rule": "product"}, "departure": {"rule": "drop"}}
)
