"""What tuning tries unless it is told: for every method the same four step sizes of local training.

The step size is what decides most, and what differs most between methods: one that plays few rounds wants
larger steps than one that plays many. Other knobs keep the values of their papers, or those found on
synthetic fleets (see the policies' docstrings); ranks are not tuned, since ``homolora`` is played with
every one of them.
"""

from __future__ import annotations

__all__ = ["GRID", "Setting"]

#: Values laid over a method, ``key=value`` each.
Setting = tuple[str, ...]

#: The settings that tuning tries for every method unless it is given others.
GRID: tuple[Setting, ...] = tuple((f"training.rate_factor={factor}",) for factor in (1.0, 2.0, 4.0, 8.0))
