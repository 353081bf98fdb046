"""How the joules of all tasks together are divided among them, and divided anew as training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fleetlora.registry import Registry
from fleetlora.settings import Settings, quantity

__all__ = ["BUDGET_RULES", "BudgetRule", "Dividing", "Equal", "Feedback", "Paper", "TaskReport"]

Floats = NDArray[np.float64]


class TaskReport:
    """What the cloud hears of K tasks between two divisions; columns (K,).

    Only what vehicles report anyway: the gains they saw on their own held-out samples, and joules.

    Args:
        n_tasks: K.
    """

    def __init__(self, n_tasks: int) -> None:
        self.gain = np.zeros(n_tasks)
        self.joules = np.zeros(n_tasks)

    def add(self, task: int, gain: float, joules: float) -> None:
        """Add a round of one task: summed gains of its updates, and its joules."""
        self.gain[task] += gain
        self.joules[task] += joules


class BudgetRule(Protocol):
    """Says which share of the joules still to be spent each task gets."""

    def shares(self, report: TaskReport, was: Floats) -> Floats:
        """Return the (K,) shares of what is left, summing to 1.

        Args:
            report: Gains and joules since the last division.
            was: (K,) shares of the last division.
        """
        ...


#: Budget rules by the name that a configuration uses.
BUDGET_RULES: Registry[type[BudgetRule]] = Registry("budget rule")


@BUDGET_RULES.register("equal")
class Equal(Settings):
    """The shares of the beginning stay; a task's unspent joules stay its own."""

    def shares(self, report: TaskReport, was: Floats) -> Floats:
        """Return the shares unchanged."""
        return was


@BUDGET_RULES.register("feedback")
class Feedback(Settings):
    """More to the task with more gain per joule, a floor for each; what is unspent returns to the pool.

    With G_k the gains and E_k the joules since the last division, K tasks, and shares w::

        efficiency_k = G_k / E_k, relative to the mean of all tasks; 1 for a task that spent nothing
        w_k <- (1 − s)·w_k + s · efficiency_k / sum of efficiencies,   then floored at f/K and rescaled

    The pool that the shares divide is everything not yet spent, so that unspent joules roll over.
    """

    smoothing: float = quantity(0.3, "1", "s, weight of the newest gains", gt=0, le=1)
    floor: float = quantity(0.5, "1", "f, smallest share, in equal shares", ge=0, le=1)

    def shares(self, report: TaskReport, was: Floats) -> Floats:
        """Return shares moved towards the tasks that gain more per joule."""
        spent = report.joules > 0
        if not spent.any() or not report.gain.any():
            return was
        efficiency = np.divide(report.gain, report.joules, out=np.zeros_like(was), where=spent)
        efficiency[~spent] = efficiency[spent].mean()
        moved = (1.0 - self.smoothing) * was + self.smoothing * efficiency / efficiency.sum()
        return floored(moved, self.floor / len(was))


@BUDGET_RULES.register("paper")
class Paper(Settings):
    """Budgets follow convergence and use of energy, without floor: our reading of arXiv 2508.09532 v3.

    Its abstract says that budgets are redistributed by "real-time convergence dynamics and resource
    utilization". With g_k the mean gain per joule-share spent::

        w_k <- w_k · (1 + G_k / sum G) · (E_k / sum E),   rescaled to sum to 1

    so a task that gains and spends more gets more. The paper's released code divides ranks, not joules.
    """

    def shares(self, report: TaskReport, was: Floats) -> Floats:
        """Return shares multiplied by convergence and utilisation."""
        if not report.joules.sum() or not report.gain.sum():
            return was
        moved = was * (1.0 + report.gain / report.gain.sum()) * (report.joules / report.joules.sum())
        return np.asarray(moved / moved.sum()) if moved.sum() > 0 else was


def floored(shares: Floats, least: float) -> Floats:
    """Return shares that sum to 1 with none below ``least``; the others pay for it in proportion."""
    result = shares / shares.sum()
    poor = np.zeros(len(shares), dtype=np.bool_)
    while (result[~poor] < least - 1e-12).any():
        poor |= result < least
        rest = 1.0 - least * poor.sum()
        rich = shares * ~poor
        result = np.where(poor, least, rich * rest / rich.sum() if rich.any() else least)
    return np.asarray(result / result.sum())


class Dividing:
    """Keeps the tasks' shares, and turns them into budgets whenever the cloud divides.

    Args:
        rule: Says which shares.
        shares: (K,) shares of the beginning.
    """

    def __init__(self, rule: BudgetRule, shares: Sequence[float]) -> None:
        self.rule, self.shares = rule, np.asarray(shares, dtype=np.float64)
        self.report = TaskReport(len(self.shares))

    def divide(self, spent_j: Floats, budget_j: Floats) -> Floats:
        """Return the (K,) new budgets; their sum stays, and none is below what its task has spent.

        Args:
            spent_j: (K,) joules spent so far.
            budget_j: (K,) budgets until now.
        """
        shares = self.rule.shares(self.report, self.shares)
        self.report = TaskReport(len(shares))
        if isinstance(self.rule, Equal) or not np.isfinite(budget_j).all():
            return budget_j
        self.shares = shares
        pool_j = max(0.0, float(budget_j.sum() - spent_j.sum()))
        return np.asarray(spent_j + pool_j * shares)

    def state_dict(self) -> dict[str, Any]:
        """Return shares and what was heard since the last division."""
        return {
            "shares": self.shares.copy(),
            "gain": self.report.gain.copy(),
            "joules": self.report.joules.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self.shares = np.array(state["shares"], dtype=np.float64)
        self.report.gain = np.array(state["gain"], dtype=np.float64)
        self.report.joules = np.array(state["joules"], dtype=np.float64)
