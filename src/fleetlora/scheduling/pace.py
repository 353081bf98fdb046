"""How much a decision may cost on average: what a coordinator infers from its account."""

from __future__ import annotations

from typing import Any

import numpy as np

from fleetlora.scheduling.policy import Account

__all__ = ["Pace"]


class Pace:
    """Budget per decision, in costs (joules / e_ref).

    It is infinite without a budget, and until the first round is over. Nobody knows how many vehicles will
    come. From n decisions in the part p of the horizon that is over, n / p are expected in all and n · (1 −
    p) / p are still to come.

    Args:
        scale_j: e_ref, joules of cost 1.

    Attributes:
        decisions: n, decisions of the rounds that are over.
        recent: Decisions of the round that is being played.
        budget: B, cost that the whole task may come to.
        overall: B / (n / p), budget per decision of the whole run.
        left: What is left of B per decision still to come.
    """

    def __init__(self, scale_j: float) -> None:
        self.scale_j = scale_j
        self.decisions = self.recent = 0
        self.budget = self.overall = self.left = np.inf

    def count(self, decisions: int) -> None:
        """Add decisions of the present round."""
        self.recent += decisions

    def settle(self, account: Account) -> None:
        """Infer both paces from the account at the end of a round."""
        self.decisions, self.recent = self.decisions + self.recent, 0
        self.budget = account.budget_j / self.scale_j
        expected = self.decisions / account.progress
        to_come = expected - self.decisions
        left = max(0.0, account.budget_j - account.total_j) / self.scale_j
        self.overall = self.budget / expected if expected > 0 else np.inf
        self.left = left / to_come if to_come > 0 else np.inf

    def state_dict(self) -> dict[str, Any]:
        """Return the count and the paces."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        vars(self).update(state)
