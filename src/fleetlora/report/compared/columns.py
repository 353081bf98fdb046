"""The columns of a comparison's table: what they show, in which unit, and which method is best in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetlora.report.words import NOTHING, energy_unit, time_unit

__all__ = ["Column", "columns_of"]


@dataclass(frozen=True)
class Column:
    """One measure as a column.

    Attributes:
        key: Key of the measure.
        title: Its heading, with the unit.
        size: What a value is divided by to be shown.
        digits: Digits after the point.
        better: ``more``, ``less`` or ``None``.
    """

    key: str
    title: str
    size: float
    digits: int
    better: str | None

    def number(self, value: float | None) -> str:
        """Return a value as it is shown."""
        return NOTHING if value is None else f"{value / self.size:,.{self.digits}f}"

    def cell(self, estimate: Mapping[str, Any]) -> tuple[str, str]:
        """Return the mean and its bootstrap interval."""
        return self.number(estimate["value"]), self._span(estimate["low"], estimate["high"])

    def student(self, estimate: Mapping[str, Any]) -> str:
        """Return Student's interval of the mean."""
        return self._span(estimate.get("t_low"), estimate.get("t_high"))

    def _span(self, low: float | None, high: float | None) -> str:
        """Return an interval in brackets, nothing where there is none."""
        return "" if low is None or high is None else f"[{self.number(low)}, {self.number(high)}]"

    def best(self, document: Mapping[str, Any]) -> set[str]:
        """Return the methods whose shown value is the best; none where there is nothing to choose."""
        results = document["results"]
        values = {m: results[m][self.key]["value"] for m in document["methods"]}
        shown = {m: round(v / self.size, self.digits) for m, v in values.items() if v is not None}
        if self.better is None or len(shown) < 2 or len(set(shown.values())) == 1:
            return set()
        best = max(shown.values()) if self.better == "more" else min(shown.values())
        return {m for m, value in shown.items() if value == best}


def columns_of(document: Mapping[str, Any]) -> list[Column]:
    """Return the columns of the comparison's table, units chosen to fit all methods."""
    joules, seconds = energy_unit(_most(document, "energy_j")), time_unit(_most(document, "total_s"))
    tasks = document["tasks"] if len(document["tasks"]) > 1 else []
    target = f"{100 * document['target']['accuracy']:.1f} %"
    return [
        Column("accuracy", "accuracy (%)", 0.01, 1, "more"),
        *(Column(f"accuracy.{task}", f"{task} (%)", 0.01, 1, "more") for task in tasks),
        Column("latency_s", "latency of a round (s)", 1.0, 2, "less"),
        Column(
            "time_to_target_s",
            f"time to {target} ({seconds.name})",
            seconds.size,
            1 if seconds.size == 1 else 2,
            "less",
        ),
        Column("energy_j", f"energy ({joules.name})", joules.size, 2, "less"),
        Column("energy_to_target_j", f"energy to {target} ({joules.name})", joules.size, 2, "less"),
        Column("wasted_j", f"wasted ({joules.name})", joules.size, 2, "less"),
        Column("overdraw_j", "overdraw (J)", 1.0, 2, "less"),
        Column("delivered_share", "delivered (%)", 0.01, 1, "more"),
        Column("mean_rank", "mean rank", 1.0, 1, None),
        Column("handoffs", "handoffs", 1.0, 0, None),
    ]


def _most(document: Mapping[str, Any], key: str) -> float:
    values = [document["results"][method][key]["value"] for method in document["methods"]]
    return max((value for value in values if value is not None), default=0.0)
