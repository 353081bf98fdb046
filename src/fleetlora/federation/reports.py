"""What vehicles report of their updates, as far as an RSU believes it.

Policies whose statistics are shared learn from every vehicle's word, so liars could steer them all. Where the
defence clips reports, a report of arm a counts as

    clip(x, q-quantile, (1 − q)-quantile)       of the newest reports of a, one a vehicle

Winsorising: less than a share q of liars cannot move the band beyond what honest vehicles report, and each
report stays in it, so a liar moves a mean by no more than its share times the band's width. The price is that
honest reports outside the band are clipped too. Rewards, gains and joules are clipped apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetlora.federation.defence import DefenceSettings
from fleetlora.federation.uploads import Refusal
from fleetlora.scheduling import Feedback

__all__ = ["Reports"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_COLUMNS = ("reward", "gain", "joules")


class Reports:
    """Hears the vehicles of one task.

    Args:
        defence: What is believed.
        task: Number of the task.
        ranks: (A,) the arms.
        n_vehicles: V, size of the fleet.
    """

    def __init__(self, defence: DefenceSettings, task: int, ranks: Ints, n_vehicles: int) -> None:
        self.defence, self.task, self.ranks = defence, task, ranks
        shape = (n_vehicles, len(ranks)) if defence.report_trim is not None else (0, 0)
        self._newest = {name: np.full(shape, np.nan) for name in _COLUMNS}
        self._round = np.full(shape, -1, dtype=np.int64)  # of each newest report, −1 where there is none

    def hear(
        self, feedback: Feedback, sent: Ints, rsu: Ints, refused: Sequence[Refusal]
    ) -> tuple[Feedback, list[Refusal]]:
        """Return what the policy is told, and the reports that are refused.

        Args:
            feedback: n reports.
            sent: (n,) ranks that the vehicles were sent.
            rsu: (n,) their RSUs.
            refused: Updates of the round that were refused; their vehicles are not believed either.
        """
        if not self.defence.checks:
            return feedback, []
        doubted = [refusal.vehicle for refusal in refused if refusal.task == self.task]
        wrong = feedback.rank != sent
        lies = [
            Refusal(
                self.task,
                int(feedback.vehicle[row]),
                int(rsu[row]),
                "reported rank",
                float(feedback.rank[row]),
            )
            for row in np.flatnonzero(wrong)
        ]
        believed = ~wrong & ~np.isin(feedback.vehicle, doubted)
        heard = _of_delivered(feedback if believed.all() else feedback.take(believed))
        return (heard if self.defence.report_trim is None else self._clipped(heard)), lies

    def state_dict(self) -> dict[str, Any]:
        """Return the newest reports."""
        return {"round": self._round.copy(), **{name: self._newest[name].copy() for name in _COLUMNS}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self._round = np.array(state["round"], dtype=np.int64)
        self._newest = {name: np.array(state[name], dtype=np.float64) for name in _COLUMNS}

    def _clipped(self, heard: Feedback) -> Feedback:
        arm = np.searchsorted(self.ranks, heard.rank)
        self._round[heard.vehicle, arm] = heard.round
        changed = {}
        for name in _COLUMNS:
            values = getattr(heard, name)
            if values is not None:
                self._newest[name][heard.vehicle, arm] = values
                changed[name] = values.copy()
        for a in np.unique(arm).tolist():
            rows, known = np.flatnonzero(arm == a), self._latest(a)
            if len(known) < self.defence.report_warmup:
                continue
            for name, values in changed.items():
                values[rows] = np.clip(values[rows], *self._band(self._newest[name][known, a]))
        return replace(heard, **changed)

    def _latest(self, arm: int) -> Ints:
        """Return the vehicles of the newest reports of an arm."""
        heard = np.flatnonzero(self._round[:, arm] >= 0)
        order = np.argsort(-self._round[heard, arm], kind="stable")
        return heard[order[: self.defence.report_window]]

    def _band(self, values: Floats) -> Floats:
        trim = self.defence.report_trim or 0.0
        low, high = (
            np.quantile(values, trim, method="higher"),
            np.quantile(values, 1.0 - trim, method="lower"),
        )
        return np.array([low, high])


def _of_delivered(heard: Feedback) -> Feedback:
    """Return the reports without any gain from updates that never came: an RSU knows which did."""
    if heard.delivered.all():
        return heard
    gain = None if heard.gain is None else np.where(heard.delivered, heard.gain, 0.0)
    return replace(heard, reward=np.where(heard.delivered, heard.reward, 0.0), gain=gain)
