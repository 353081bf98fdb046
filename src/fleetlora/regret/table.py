"""What a person reads of a study: one block an instance, one line a contender."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["lines"]

_ROW = "  {:<20}{:>9}  {:<18}{:>9}  {:<19}{:>9}"


def lines(study: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a table.

    Regret, violation and overspending are means over seeds after the last round; slopes come with their 95 %
    interval, or as a dash where the curve is not positive throughout or the means change.
    """
    for name, instance in study["instances"].items():
        optimum = " → ".join(f"{piece['value']:.3f}" for piece in instance["optima"])
        yield f"{name}: {instance['about']}"
        yield (
            f"  T = {instance['horizon']:,}, N = {instance['places']}, {study['seeds']} seeds, "
            f"rho = {instance['rho']:g}, OPT = {optimum}, lambda* = {instance['optima'][0]['price']:.3f}"
        )
        yield _ROW.format("", "regret", "slope", "violation", "slope", "overspent").rstrip()
        for policy, found in instance["policies"].items():
            yield _ROW.format(
                policy,
                f"{found['regret']['mean'][-1]:,.0f}",
                _slope(found["regret"]["exponent"]),
                f"{found['violation']['mean'][-1]:,.0f}",
                _slope(found["violation"]["exponent"]),
                f"{found['overspending']['mean'][-1]:,.0f}",
            )


def _slope(exponent: Mapping[str, float | None] | None) -> str:
    if exponent is None:
        return "–"
    if exponent["low"] is None:
        return f"{exponent['value']:.2f}"
    return f"{exponent['value']:.2f} [{exponent['low']:.2f}, {exponent['high']:.2f}]"
