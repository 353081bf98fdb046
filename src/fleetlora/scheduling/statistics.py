"""What arms have come to so far: counts, summed rewards and summed costs, one row a learner.

Sums are kept, not running means, so that neither the order of a round's updates nor their number in one call
changes anything. A row is whoever learns together: a vehicle, a device class, or a finer context.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import InputError

__all__ = ["ArmTable"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_COLUMNS = ("count", "reward_sum", "cost_sum")
_FORGOTTEN = 1e-9  # a count below it is dropped, before sums of such weights lose their digits


class ArmTable:
    """Statistics of R rows by A arms.

    With a discount gamma < 1 and :meth:`decay` called once a round, an observation of s rounds ago weighs
    gamma^s: the discounted means of Garivier and Moulines (2011), "On upper-confidence bound policies for
    switching bandit problems".

    Args:
        rows: R, number of learners.
        arms: A, number of arms.
        discount: Weight gamma in (0, 1] that an observation keeps from one round to the next.

    Attributes:
        count: (R, A) observations, discounted.
        reward_sum: (R, A) their rewards.
        cost_sum: (R, A) their costs.

    Raises:
        InputError: The discount is outside (0, 1].
    """

    def __init__(self, rows: int, arms: int, discount: float = 1.0) -> None:
        if not 0.0 < discount <= 1.0:
            raise InputError(f"discount is {discount}", where="discount", mend="choose it in (0, 1]")
        self.discount = discount
        self.count: Floats = np.zeros((rows, arms))
        self.reward_sum: Floats = np.zeros((rows, arms))
        self.cost_sum: Floats = np.zeros((rows, arms))

    @property
    def mean_reward(self) -> Floats:
        """(R, A) mean reward, 0 where nothing was observed."""
        return self._mean(self.reward_sum)

    @property
    def mean_cost(self) -> Floats:
        """(R, A) mean cost, 0 where nothing was observed."""
        return self._mean(self.cost_sum)

    def _mean(self, total: Floats) -> Floats:
        return np.divide(total, self.count, out=np.zeros_like(total), where=self.count > 0)

    def add(self, rows: Ints, arm: Ints, reward: Floats, cost: Floats) -> None:
        """Add n observations; the same row and arm may come more than once.

        Args:
            rows: (n,) row of each observation.
            arm: (n,) column of each observation.
            reward: (n,) rewards.
            cost: (n,) costs.
        """
        shape = self.count.shape
        cell = np.ravel_multi_index((rows, arm), shape)
        for total, weights in ((self.count, None), (self.reward_sum, reward), (self.cost_sum, cost)):
            total += np.bincount(cell, weights, minlength=total.size).reshape(shape)

    def forget(self, rows: Ints) -> None:
        """Drop all observations of some rows."""
        for name in _COLUMNS:
            getattr(self, name)[rows] = 0.0

    def decay(self) -> None:
        """Let one round go by: every observation weighs gamma times what it did.

        A cell whose observations weigh next to nothing is empty again, as if nobody had tried its arm.
        """
        if self.discount < 1.0:
            kept = np.where(self.count * self.discount < _FORGOTTEN, 0.0, self.discount)
            for name in _COLUMNS:
                getattr(self, name)[:] *= kept

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the three columns."""
        return {name: getattr(self, name).copy() for name in _COLUMNS}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned.

        Raises:
            InputError: A column is missing or has another shape.
        """
        shape = self.count.shape
        found = {name: np.shape(state.get(name, 0.0)) for name in _COLUMNS}
        if wrong := [name for name in _COLUMNS if found[name] != shape]:
            raise InputError(
                f"column {wrong[0]!r} has shape {found[wrong[0]]}, this table {shape}",
                where="arm table",
                mend="restore it into a run with the same fleet and ranks",
            )
        for name in _COLUMNS:
            setattr(self, name, np.array(state[name], dtype=np.float64))
