"""What the bandit rivals have in common: statistics that the vehicles of a device class share."""

from __future__ import annotations

from typing import Any

import numpy as np

from fleetlora.scheduling.policy import Account, Feedback, Floats, Ints, Policy, PolicyContext
from fleetlora.scheduling.statistics import ArmTable
from fleetlora.settings import Settings, quantity

__all__ = ["Learning"]


class Learning(Policy):
    """A policy that counts, for each arm, pulls, rewards and costs (joules / e_ref, at most 1).

    The published algorithms know one learner that pulls all the time. A vehicle that drives past pulls a few
    times and would never leave the phase in which it tries every arm, so the vehicles of a device class learn
    as one by default; ``pooled = false`` lets every vehicle learn alone.
    """

    class Options(Settings):
        """Who learns together, and for how long."""

        pooled: bool = quantity(True, "1", "whether the vehicles of a device class learn as one")
        discount: float = quantity(1.0, "1", "weight an observation keeps from round to round", gt=0, le=1)

    options: Options

    def __init__(self, context: PolicyContext, options: Options) -> None:
        super().__init__(context, options)
        rows = len(context.device_names) if options.pooled else context.n_vehicles
        self.table = ArmTable(rows, len(context.ranks), options.discount)

    def rows_of(self, vehicle: Ints) -> Ints:
        """Return (n,) the row of the table that each vehicle learns in."""
        return self.context.device[vehicle] if self.options.pooled else vehicle

    def cost(self, joules: Floats) -> Floats:
        """Return joules as costs in [0, 1]."""
        return np.minimum(joules / self.context.scale_j, 1.0)

    def arm_of(self, feedback: Feedback) -> Ints:
        """Return (n,) the arm that each vehicle pulled."""
        return np.searchsorted(self.context.ranks, feedback.rank).astype(np.int64)

    def update(self, feedback: Feedback) -> None:
        """Add what the vehicles saw."""
        self.table.add(
            self.rows_of(feedback.vehicle),
            self.arm_of(feedback),
            feedback.reward,
            self.cost(feedback.joules),
        )

    def forget(self, vehicle: Ints) -> None:
        """Drop the vehicles' own rows; those of a device class are not theirs."""
        if not self.options.pooled:
            self.table.forget(vehicle)

    def settle(self, account: Account) -> None:
        """Let old observations fade."""
        self.table.decay()

    def state_dict(self) -> dict[str, Any]:
        """Return the table."""
        return {"table": self.table.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self.table.load_state_dict(state["table"])
