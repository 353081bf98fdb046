"""Named methods: the policy, aggregation rule and departure rule that a comparison compares.

A method is a set of configuration values laid over an experiment, so that ``--method NAME`` and writing the
same values into the file are one and the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fleetlora.registry import Registry

__all__ = ["HOMOLORA", "METHODS", "Method", "homolora_rank", "is_bound", "method_values", "variant_of"]

#: Configuration values, section by section, as they would stand in the TOML file.
Method = Mapping[str, Mapping[str, Any]]

#: Methods by the name that ``--method`` and the key ``method`` use.
METHODS: Registry[Method] = Registry("method")

#: One rank for all vehicles, the largest arm; ``homolora-R`` is the same with rank R.
HOMOLORA = "homolora"

#: Methods that are another one with a part changed, and which one.
_VARIANTS: dict[str, str] = {}

#: Methods that are told what nobody can know.
_BOUNDS: set[str] = set()


def method_values(name: str, *, where: str | None = None) -> Method:
    """Return the configuration values of the method called ``name``.

    Args:
        name: A registered name, or ``homolora-R`` for a rank R.
        where: The key or option that named it, for the message.

    Raises:
        ConfigError: No such method; the message suggests the nearest name.
    """
    rank = homolora_rank(name)
    if rank is None:
        return METHODS.get(name, where=where)
    values = METHODS.get(HOMOLORA)
    return {**values, "policy": {**values["policy"], "rank": rank}}


def homolora_rank(name: str) -> int | None:
    """Return R if ``name`` is ``homolora-R``, else None."""
    found = re.fullmatch(rf"{HOMOLORA}-([1-9][0-9]*)", name)
    return int(found[1]) if found else None


def variant_of(name: str) -> str:
    """Return the method that ``name`` is with a part changed; itself, if it is no other's variant."""
    return _VARIANTS.get(name, name)


def is_bound(name: str) -> bool:
    """Tell whether ``name`` is told the future: a yardstick and no method."""
    return name in _BOUNDS


METHODS.register("fixed")(
    {"policy": {"name": "fixed"}, "aggregation": {"rule": "product"}, "departure": {"rule": "drop"}}
)
METHODS.register(HOMOLORA)(
    {"policy": {"name": "fixed"}, "aggregation": {"rule": "product"}, "departure": {"rule": "drop"}}
)
METHODS.register("random")(
    {"policy": {"name": "random"}, "aggregation": {"rule": "product"}, "departure": {"rule": "drop"}}
)
# Says all that another method may have said before it: it is laid over any of them, as a yardstick.
METHODS.register("head-only")(
    {
        "policy": {"name": "fixed"},
        "aggregation": {"rule": "product", "keep_tail": False, "keep_classes": False},
        "departure": {"rule": "drop"},
        "training": {"train_adapter": False, "own_classes": False},
        "budget": {"rule": "equal"},
    }
)

# The published form is a rival like any other, no variant of ours.
METHODS.register("ucb-dual-paper")(
    {
        "policy": {"name": "ucb-dual", "skip": False, "pooled": False, "foresight": False},
        "aggregation": {"rule": "product"},
        "departure": {"rule": "drop"},
    }
)
_UCB_DUAL: Method = {
    "policy": {"name": "ucb-dual", "gain_latencies": 1.2, "freshness": 2.0},
    "aggregation": {"rule": "product", "keep_tail": True, "keep_classes": True},
    "training": {"own_classes": True},
    "departure": {"rule": "least-cost"},
    "budget": {"rule": "equal"},
}
METHODS.register("ucb-dual")(_UCB_DUAL)


def _changed(part: str, change: Method, of: str = "ucb-dual", bound: bool = False) -> None:
    """Register the method ``of`` with one of its parts changed, as its variant ``OF-PART``."""
    before, name = METHODS.get(of), f"{of}-{part}"
    values = {s: {**before.get(s, {}), **change.get(s, {})} for s in {**before, **change}}
    METHODS.register(name)(values)
    _VARIANTS[name] = of
    _BOUNDS.update([name] if bound else ())


_changed("no-dual", {"policy": {"step": 0.0}})
_changed("no-pool", {"policy": {"pooled": False}})
_changed("no-foresight", {"policy": {"foresight": False}})
_changed("no-freshness", {"policy": {"freshness": 0.0}})
_changed("no-skip", {"policy": {"skip": False}})
_changed("no-tail", {"aggregation": {"keep_tail": False}})
_changed("no-classes", {"aggregation": {"keep_classes": False}, "training": {"own_classes": False}})
_changed("no-departure", {"departure": {"rule": "drop"}})
# The loop that divides joules anew did not win on the slices that the method was chosen on; the paper's rule
# divides otherwise.
_changed("loop", {"budget": {"rule": "feedback"}})
_changed("paper-loop", {"budget": {"rule": "paper"}})

# Whoever takes longer than a second does not begin; a second may be cheaper then, by a price tuned with it.
_changed("quick", {"round": {"deadline_s": 1.0}, "policy": {"gain_latencies": 2.7}})

# Departure rules by themselves: for long rounds (one large rank for all) and for ours; the oracle is told the
# future: a yardstick and no method.
_changed("oracle-departure", {"departure": {"rule": "oracle"}}, bound=True)
_changed("oracle-departure", {"departure": {"rule": "oracle"}}, of="fixed", bound=True)
_changed("departure", {"departure": {"rule": "least-cost"}}, of="fixed")

# Rivals from the literature. Ranks by device class where the rule takes different ones, else one for all.
for _rule in ("fedra", "flexlora", "flora", "hetlora"):
    METHODS.register(_rule)(
        {"policy": {"name": "by-device"}, "aggregation": {"rule": _rule}, "departure": {"rule": "drop"}}
    )
for _rule in ("fedit", "ffa"):
    METHODS.register(_rule)(
        {"policy": {"name": "fixed"}, "aggregation": {"rule": _rule}, "departure": {"rule": "drop"}}
    )

# Rivals from the literature that choose ranks, above the same aggregation as ours.
for _policy in ("greedy", "primal-dual-bwk", "ucb-alp", "ucb-bv"):
    METHODS.register(_policy)(
        {"policy": {"name": _policy}, "aggregation": {"rule": "product"}, "departure": {"rule": "drop"}}
    )
