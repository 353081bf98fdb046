"""The ledger: every joule spent, by vehicle, task, phase and outcome, under hard caps.

Vehicles' joules count against their task's budget; RSUs' own joules are kept apart. Sums are carried
in twice the precision of a float, so that the totals of a long run agree with the sum of its rows and
the cap can be kept to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetlora.errors import FleetLoraError
from fleetlora.records.exact import add, excess_over
from fleetlora.records.schemas import OUTCOMES, PHASES, arrow_table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Ledger"]

_OUTCOMES = (*OUTCOMES, "none")
_COLUMNS: dict[str, type] = {
    "round": np.int32,
    "t_s": np.float64,
    "vehicle": np.int32,
    "rsu": np.int32,
    "task": np.int16,
    "phase": np.int8,
    "outcome": np.int8,
    "joules": np.float64,
}


class Ledger:
    """Every joule of a run, and what each task may still spend.

    Args:
        tasks: Names of the tasks.
        budgets_j: Joules each task may spend, by name; ``None`` or infinity is no limit.

    Raises:
        FleetLoraError: A task has no budget entry, or a budget is negative or not a number.
    """

    def __init__(self, tasks: Sequence[str], budgets_j: Mapping[str, float | None]) -> None:
        if len(set(tasks)) != len(tasks):
            raise FleetLoraError(f"a task is named twice: {', '.join(tasks)}", where="ledger")
        self._tasks = tuple(tasks)
        self._budgets_j = self._check_budgets(budgets_j)
        self._spent = dict.fromkeys(self._tasks, (0.0, 0.0))  # sum and its rounding error
        self._rsu = dict.fromkeys(self._tasks, (0.0, 0.0))
        self._chunks: list[dict[str, np.ndarray]] = []
        self._n_rows = 0

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return self._tasks

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._n_rows

    def charge(
        self,
        round: int | np.ndarray,
        t_s: float | np.ndarray,
        vehicle: int | np.ndarray,
        rsu: int | np.ndarray,
        task: str | Sequence[str] | np.ndarray,
        phase: str | Sequence[str] | np.ndarray,
        outcome: str | Sequence[str] | np.ndarray,
        joules: float | np.ndarray,
    ) -> None:
        """Book joules; every argument is a column (n,) or one value for all rows.

        Rows of zero joules are dropped.

        Args:
            round: Number of the round.
            t_s: Virtual time of the charge in seconds.
            vehicle: Vehicle index, −1 exactly where the phase is ``rsu``.
            rsu: RSU index.
            task: Task name.
            phase: One of :data:`~fleetlora.records.schemas.PHASES`.
            outcome: One of :data:`~fleetlora.records.schemas.OUTCOMES`, or ``none``.
            joules: Joules, finite and not negative.

        Raises:
            FleetLoraError: A value is out of its range, or the charge exceeds a task's budget. Nothing
                is booked then.
        """
        given = (
            round,
            t_s,
            vehicle,
            rsu,
            _codes(task, self._tasks, "task"),
            _codes(phase, PHASES, "phase"),
            _codes(outcome, _OUTCOMES, "outcome"),
            joules,
        )
        if not np.isfinite(joules).all() or np.any(np.less(joules, 0)):
            raise FleetLoraError("joules must be finite and not negative", where="ledger")
        arrays = np.broadcast_arrays(*[np.atleast_1d(column) for column in given])
        kept = arrays[-1] > 0
        rows: dict[str, np.ndarray] = {
            name: array[kept].astype(kind)
            for (name, kind), array in zip(_COLUMNS.items(), arrays, strict=True)
        }
        of_rsu = rows["phase"] == PHASES.index("rsu")
        if np.any(of_rsu != (rows["vehicle"] == -1)):
            raise FleetLoraError("phase 'rsu' goes with vehicle -1, and with no other", where="ledger")
        spent, rsu_spent = self._totals_after(rows, of_rsu)
        self._spent, self._rsu = spent, rsu_spent
        if len(kept) and kept.any():
            self._chunks.append(rows)
            self._n_rows += len(rows["joules"])

    def spent_j(self, task: str) -> float:
        """Return the joules vehicles have spent on ``task``, at most its budget."""
        return min(sum(self._spent[self._known(task)]), self._budgets_j[task])

    def budget_j(self, task: str) -> float:
        """Return the joules ``task`` may spend in all, infinite when there is no limit."""
        return self._budgets_j[self._known(task)]

    def remaining_j(self, task: str) -> float:
        """Return the joules ``task`` may still spend, never negative."""
        return max(0.0, self.budget_j(task) - self.spent_j(task))

    def rsu_j(self, task: str | None = None) -> float:
        """Return the RSUs' own joules, on one task or in all."""
        return math.fsum(sum(self._rsu[self._known(t)]) for t in (self._tasks if task is None else (task,)))

    def total_j(self) -> float:
        """Return the joules all vehicles have spent."""
        return math.fsum(self.spent_j(task) for task in self._tasks)

    def rebudget(self, budgets_j: Mapping[str, float | None]) -> None:
        """Give every task a new budget, for example when the total is divided anew.

        Raises:
            FleetLoraError: A budget is missing, not a number, or below what the task has spent.
        """
        budgets = self._check_budgets(budgets_j)
        for task in self._tasks:
            if excess_over(budgets[task], self._spent[task]) > 0:
                raise FleetLoraError(
                    f"task {task!r} has spent {self.spent_j(task):g} J, more than {budgets[task]:g} J",
                    where="ledger",
                )
        self._budgets_j = budgets

    def affordable(self, task: str, worst_case_j: np.ndarray, held_j: float = 0.0) -> np.ndarray:
        """Return which rows ``task`` can afford, taken in order.

        Each row that fits into what the rows before it have left is taken, so the worst cases of the
        taken rows never add up to more than what is left.

        Args:
            task: Task name.
            worst_case_j: (n,) the most joules each may come to spend.
            held_j: Joules already promised to others and not yet charged.

        Returns:
            (n,) bool mask.

        Raises:
            FleetLoraError: The task is unknown, or a worst case is negative or not a number.
        """
        worst = np.asarray(worst_case_j, dtype=np.float64)
        if np.isnan(worst).any() or np.any(worst < 0) or not held_j >= 0:
            raise FleetLoraError("worst cases must not be negative or NaN", where="ledger")
        budget, spent = self.budget_j(task), self._spent[task]
        if math.isinf(budget):
            return np.isfinite(worst)
        taken = _take_in_order(worst, max(0.0, budget - sum(spent) - held_j))
        while taken.any() and math.fsum([*spent, held_j, -budget, *worst[taken]]) > 0:
            taken[np.flatnonzero(taken & (worst > 0))[-1]] = False  # the cumulative sum had rounded down
        return taken

    def to_arrow(self, start: int = 0) -> pa.Table:
        """Return the rows from number ``start`` on as the ``ledger`` table."""
        import pyarrow as pa

        columns: dict[str, Any] = dict(self._columns(start))
        for name, words in (("task", self._tasks), ("phase", PHASES), ("outcome", _OUTCOMES)):
            codes = pa.array(columns[name].astype(np.int32))
            columns[name] = pa.DictionaryArray.from_arrays(codes, pa.array(words, pa.string()))
        return arrow_table("ledger", columns)

    def state_dict(self) -> dict[str, Any]:
        """Return everything the ledger knows, as plain lists and arrays."""
        return {
            "tasks": list(self._tasks),
            "budgets_j": [self._budgets_j[task] for task in self._tasks],
            "spent": [list(self._spent[task]) for task in self._tasks],
            "rsu": [list(self._rsu[task]) for task in self._tasks],
            "columns": self._columns(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state another ledger of the same tasks gave out.

        Raises:
            FleetLoraError: The state is of other tasks.
        """
        if tuple(state["tasks"]) != self._tasks:
            raise FleetLoraError(f"state of tasks {state['tasks']}, not {list(self._tasks)}", where="ledger")
        self._budgets_j = self._check_budgets(dict(zip(self._tasks, state["budgets_j"], strict=True)))
        for name, totals in (("spent", self._spent), ("rsu", self._rsu)):
            totals.update(
                {t: (float(s[0]), float(s[1])) for t, s in zip(self._tasks, state[name], strict=True)}
            )
        columns: dict[str, np.ndarray] = {
            n: np.asarray(state["columns"][n]).astype(kind) for n, kind in _COLUMNS.items()
        }
        self._chunks = [columns]
        self._n_rows = len(columns["joules"])

    def _columns(self, start: int = 0) -> dict[str, np.ndarray]:
        parts: list[dict[str, np.ndarray]] = []
        end = self._n_rows
        for chunk in reversed(self._chunks):  # what is new lies at the end
            if end <= start:
                break
            end -= len(chunk["joules"])
            parts.append({name: column[max(0, start - end) :] for name, column in chunk.items()})
        parts.append({name: np.empty(0, kind) for name, kind in _COLUMNS.items()})
        return {name: np.concatenate([part[name] for part in reversed(parts)]) for name in _COLUMNS}

    def _known(self, task: str) -> str:
        if task not in self._budgets_j:
            raise FleetLoraError(f"unknown task {task!r} (known: {', '.join(self._tasks)})", where="ledger")
        return task

    def _check_budgets(self, budgets_j: Mapping[str, float | None]) -> dict[str, float]:
        if set(budgets_j) != set(self._tasks):
            raise FleetLoraError(
                f"budgets for {sorted(budgets_j)}, tasks are {sorted(self._tasks)}", where="ledger"
            )
        budgets = {t: math.inf if budgets_j[t] is None else float(budgets_j[t]) for t in self._tasks}  # type: ignore[arg-type]
        for task, budget in budgets.items():
            if math.isnan(budget) or budget < 0:
                raise FleetLoraError(f"the budget of {task!r} is {budget} J", where="ledger")
        return budgets

    def _totals_after(
        self, rows: Mapping[str, np.ndarray], of_rsu: np.ndarray
    ) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[float, float]]]:
        spent, rsu = dict(self._spent), dict(self._rsu)
        for code in np.unique(rows["task"]):
            task, mine = self._tasks[code], rows["task"] == code
            spent[task] = add(spent[task], rows["joules"][mine & ~of_rsu])
            rsu[task] = add(rsu[task], rows["joules"][mine & of_rsu])
            excess_j = excess_over(self._budgets_j[task], spent[task])
            if excess_j > 0:
                raise FleetLoraError(
                    f"a charge takes task {task!r} {excess_j:g} J over its budget of"
                    f" {self._budgets_j[task]:g} J; admission must stop first",
                    where="ledger",
                )
        return spent, rsu


def _take_in_order(worst: np.ndarray, left_j: float) -> np.ndarray:
    """Take in order every row that still fits; one pass per run of rows that fit."""
    taken = np.zeros(len(worst), dtype=bool)
    start = 0
    while start < len(worst):
        sums = np.cumsum(worst[start:])
        run = int(np.searchsorted(sums, left_j, side="right"))
        taken[start : start + run] = True
        left_j -= float(sums[run - 1]) if run else 0.0
        start += run
        fitting = np.flatnonzero(worst[start:] <= left_j)
        start = start + int(fitting[0]) if len(fitting) else len(worst)
    return taken


def _codes(values: str | Sequence[str] | np.ndarray, words: tuple[str, ...], what: str) -> np.ndarray:
    """Return the index in ``words`` of each value."""
    given, inverse = np.unique(np.atleast_1d(np.asarray(values, dtype=str)), return_inverse=True)
    unknown = [word for word in given.tolist() if word not in words]
    if unknown:
        raise FleetLoraError(f"unknown {what} {unknown[0]!r} (known: {', '.join(words)})", where="ledger")
    codes: np.ndarray = np.array([words.index(word) for word in given.tolist()], dtype=np.int64)[inverse]
    return codes
