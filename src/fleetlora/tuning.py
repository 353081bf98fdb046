"""What tuning tries: for every method with knobs of its own, the same small number of settings.

A setting is a tuple of ``key=value``, laid over the method; the empty one is the method as it is. ``{low}``,
``{middle}`` and ``{high}`` stand for arms of ``lora.ranks``. A method that is not listed has nothing to
choose, among them ``homolora``, whose ranks a comparison plays as methods of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["GRIDS", "Setting", "grid_of"]

#: Values laid over a method, ``key=value`` each.
Setting = tuple[str, ...]

#: How a rule without knobs deals out ranks: by device class, or one for all.
_RANKS: tuple[Setting, ...] = (
    (),
    ("policy.name=fixed", "policy.rank={middle}"),
    ("policy.name=fixed", "policy.rank={high}"),
)

#: The one rank of a rule that needs equal ranks.
_RANK: tuple[Setting, ...] = (("policy.rank={low}",), ("policy.rank={middle}",), ("policy.rank={high}",))

#: Settings by method, three each.
GRIDS: dict[str, tuple[Setting, ...]] = {
    "fedit": _RANK,
    "fedra": (("aggregation.share=0.34",), ("aggregation.share=0.67",), ("aggregation.share=1.0",)),
    "ffa": _RANK,
    "flexlora": _RANKS,
    "flora": _RANKS,
    "hetlora": (("aggregation.gamma=0.9",), ("aggregation.gamma=0.99",), ("aggregation.penalty=0.0",)),
    "primal-dual-bwk": (("policy.confidence=0.01",), ("policy.confidence=0.03",), ("policy.confidence=0.1",)),
    "ucb-alp": (("policy.exploration=0.1",), ("policy.exploration=0.3",), ("policy.exploration=1.0",)),
    "ucb-bv": (("policy.exploration=0.01",), ("policy.exploration=0.03",), ("policy.exploration=0.1",)),
    "ucb-dual": (("policy.bonus=0.03",), ("policy.bonus=0.1",), ("policy.bonus=0.3",)),
    "ucb-dual-paper": (("policy.bonus=0.03",), ("policy.bonus=0.1",), ("policy.bonus=0.3",)),
}


def grid_of(method: str, ranks: Sequence[int]) -> list[Setting]:
    """Return the settings that tuning tries for a method, at least the method as it is.

    Args:
        method: Name of the method.
        ranks: The arms, ascending.
    """
    arms = {"low": ranks[0], "middle": ranks[len(ranks) // 2], "high": ranks[-1]}
    grid = [tuple(text.format(**arms) for text in setting) for setting in GRIDS.get(method, ((),))]
    return list(dict.fromkeys(grid))
