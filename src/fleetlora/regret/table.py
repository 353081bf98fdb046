"""What a person reads of a study: one block an instance, one line a contender."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["lines"]

_ROW = "  {:<20}{:>9}  {:<18}{:>9}  {:<20}{:>9}  {:<19}"
_MEASURES = ("regret", "overspending", "violation")


def lines(study: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a table.

    Regret, overspending (of the costs drawn) and violation (of their means) are means over seeds after the
    last round; slopes come with their 95 % interval, or as a dash where the curve is not positive throughout,
    the means change, or the play is one until the budget is spent.
    """
    for name, instance in study["instances"].items():
        optimum = " → ".join(f"{piece['value']:.3f}" for piece in instance["optima"])
        yield f"{name}: {instance['about']}"
        yield (
            f"  T = {instance['horizon']:,}, N = {instance['places']}, {study['seeds']} seeds, "
            f"rho = {instance['rho']:g}, OPT = {optimum}, lambda* = {instance['optima'][0]['price']:.3f}"
        )
        yield _ROW.format("", "regret", "slope", "overspent", "slope", "violation", "slope").rstrip()
        for policy, found in instance["policies"].items():
            cells = [
                cell
                for name in _MEASURES
                for cell in (f"{found[name]['mean'][-1]:,.0f}", _slope(found[name]["exponent"]))
            ]
            yield _ROW.format(policy, *cells).rstrip()


def _slope(exponent: Mapping[str, float | None] | None) -> str:
    if exponent is None:
        return "–"
    if exponent["low"] is None:
        return f"{exponent['value']:.2f}"
    return f"{exponent['value']:.2f} [{exponent['low']:.2f}, {exponent['high']:.2f}]"
