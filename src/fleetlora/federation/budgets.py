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
    """What the cloud hears of K tasks; columns (K,).

    How often the model that vehicles received was right on their own held-out samples, what they gained, and
    joules.

    Args:
        n_tasks: K.
    """

    def __init__(self, n_tasks: int) -> None:
        self.gain = np.zeros(n_tasks)
        self.joules = np.zeros(n_tasks)
        self.spent_j = np.zeros(n_tasks)
        self.sums = np.zeros((5, n_tasks))  # n, x, y, xx, xy

    def add(self, task: int, joules: float, gain: float, accuracy: Floats) -> None:
        """Add a round of one task.

        Args:
            task: The task.
            joules: What its updates took.
            gain: Sum of its updates' gains.
            accuracy: (n,) accuracy of the model as it was received; NaN where nothing was measured.
        """
        known = accuracy[np.isfinite(accuracy)]
        x = np.log1p(self.spent_j[task])
        n, y = len(known), known.sum()
        self.sums[:, task] += (n, n * x, y, n * x * x, x * y)
        self.gain[task] += gain
        self.joules[task] += joules
        self.spent_j[task] += joules

    def begin(self) -> None:
        """Forget the gains and joules since the last division; accuracies and joules of all time stay."""
        self.gain[:] = 0.0
        self.joules[:] = 0.0

    def slopes(self, lean: float) -> Floats:
        """Return (K,) by how much each task's accuracy grows whenever its joules grow by the factor e.

        Least squares of the accuracy on ln(1 + joules) over all reports; the fewer, the more a task's slope
        leans on that of all tasks.

        Args:
            lean: Reports, times variance of ln(1 + joules), that the common slope counts for.
        """
        n, x, y, xx, xy = self.sums
        heard = np.maximum(n, 1.0)
        var, cov = xx - x * x / heard, xy - x * y / heard
        common = cov.sum() / var.sum() if var.sum() > 0 else 0.0
        return np.asarray((cov + lean * common) / (var + lean))

    def state_dict(self) -> dict[str, Any]:
        """Return all sums."""
        return {name: value.copy() for name, value in vars(self).items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        for name, value in state.items():
            setattr(self, name, np.array(value, dtype=np.float64))


class BudgetRule(Protocol):
    """Says which share of the joules still to be spent each task gets."""

    def shares(self, report: TaskReport, was: Floats, pool_j: float) -> Floats:
        """Return the (K,) shares of what is left, summing to 1.

        Args:
            report: What was heard of the tasks.
            was: (K,) shares of the last division.
            pool_j: Joules that are left.
        """
        ...


#: Budget rules by the name that a configuration uses.
BUDGET_RULES: Registry[type[BudgetRule]] = Registry("budget rule")


@BUDGET_RULES.register("equal")
class Equal(Settings):
    """The shares of the beginning stay; a task's unspent joules stay its own."""

    def shares(self, report: TaskReport, was: Floats, pool_j: float) -> Floats:
        """Return the shares unchanged."""
        return was


@BUDGET_RULES.register("feedback")
class Feedback(Settings):
    """More to the task that gains more per joule, a floor for each; what is unspent returns to the pool.

    A model's accuracy grows with the logarithm of what it was trained with, A_k = a_k + b_k ln E_k, so that a
    task gains b_k / E_k per joule: less, the more it has had. All tasks gain the same per joule, and their
    mean accuracy is highest, where E_k is in proportion to b_k. With b_k fitted to all that was heard so far
    (:meth:`TaskReport.slopes`), E joules in all and K tasks::

        w_k = max(0, b_k) / sum b,   floored at f/K and rescaled
        share_k of what is left, in proportion to max(0, w_k·E − spent_k)
    """

    lean: float = quantity(20.0, "1", "reports times variance that the tasks' common slope counts for", gt=0)
    floor: float = quantity(0.5, "1", "f, smallest share, in equal shares", ge=0, le=1)

    def shares(self, report: TaskReport, was: Floats, pool_j: float) -> Floats:
        """Return the shares that lead each task to joules in proportion to its slope."""
        slopes = np.maximum(report.slopes(self.lean), 0.0)
        if not slopes.any():
            return was
        target_j = floored(slopes, self.floor / len(was)) * (report.spent_j.sum() + pool_j)
        lacking_j = np.maximum(target_j - report.spent_j, 0.0)
        return np.asarray(lacking_j / lacking_j.sum()) if lacking_j.any() else was


@BUDGET_RULES.register("paper")
class Paper(Settings):
    """Budgets follow convergence and use of energy, without floor: our reading of arXiv 2508.09532 v3.

    Its abstract says that budgets are redistributed by "real-time convergence dynamics and resource
    utilization". With G_k the gains and E_k the joules since the last division::

        w_k <- w_k · (1 + G_k / sum G) · (E_k / sum E),   rescaled to sum to 1

    so a task that gains and spends more gets more. A task that nobody has begun since then has shown nothing
    and keeps its share. The paper's released code divides ranks, not joules.
    """

    def shares(self, report: TaskReport, was: Floats, pool_j: float) -> Floats:
        """Return shares multiplied by convergence and utilisation."""
        busy = report.joules > 0
        if not report.gain.sum():
            return was
        moved = was * (1.0 + report.gain / report.gain.sum()) * (report.joules / report.joules.sum())
        if not moved.sum():
            return was
        return np.where(busy, moved * was[busy].sum() / moved.sum(), was)


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
        if self.shares.any():  # they may sum to less than 1; what is divided anew is all that is left
            self.shares = self.shares / self.shares.sum()
        self.report = TaskReport(len(self.shares))

    @property
    def listens(self) -> bool:
        """Whether the rule asks for what the vehicles measure."""
        return not isinstance(self.rule, Equal)

    def divide(self, spent_j: Floats, budget_j: Floats) -> Floats:
        """Return the (K,) new budgets; their sum stays, and none is below what its task has spent.

        Args:
            spent_j: (K,) joules spent so far.
            budget_j: (K,) budgets until now.
        """
        pool_j = max(0.0, float(budget_j.sum() - spent_j.sum()))
        if not self.listens or not np.isfinite(pool_j):
            return budget_j
        self.shares = self.rule.shares(self.report, self.shares, pool_j)
        self.report.begin()
        return np.asarray(spent_j + pool_j * self.shares)

    def state_dict(self) -> dict[str, Any]:
        """Return shares and what was heard."""
        return {"shares": self.shares.copy(), "report": self.report.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self.shares = np.array(state["shares"], dtype=np.float64)
        self.report.load_state_dict(state["report"])
