"""The contract between the round loop and a policy: what vehicles know, choose, and learn from.

A policy has two sides. The *vehicle* side, :meth:`Policy.select` and :meth:`Policy.update`, is what every
vehicle computes for itself; it is written over columns, one row a vehicle, so that a city costs one
vectorised step. The *coordinator* side, :meth:`Policy.settle` and :attr:`Policy.price`, is the one number a
task's RSUs broadcast. Nothing in :class:`Offers` depends on the future; joules and rewards reach a policy
only through :class:`Feedback` and :class:`Account`, which refuse values that no update can have.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import InputError
from fleetlora.registry import Registry
from fleetlora.settings import Settings

__all__ = ["POLICIES", "Account", "Feedback", "Offers", "Policy", "PolicyContext", "checked_ranks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PolicyContext:
    """What a policy is told once, when the run begins. One policy serves one task.

    Attributes:
        task: Name of the task.
        ranks: (A,) the arms: LoRA ranks in ascending order, all positive.
        n_vehicles: V, number of vehicles in the fleet.
        device: (V,) device class of each vehicle.
        device_names: Name of each device class.
        device_flops_per_s: (D,) sustained FLOP/s of each device class.
        reference_j: (A,) joules that a median vehicle of the fleet spends on one update of each rank, before
            any link is known.
        scale_j: Joules that count as cost 1 (e_ref): what 95 % of the fleet stay below with the largest rank.
        deadline_s: Longest a round may last, seconds.
        latency_weight: beta, by which latency relative to the deadline lowers the reward.
    """

    task: str
    ranks: Ints
    n_vehicles: int
    device: Ints
    device_names: tuple[str, ...]
    device_flops_per_s: Floats
    reference_j: Floats
    scale_j: float
    deadline_s: float
    latency_weight: float = 0.0


@dataclass(frozen=True)
class Offers:
    """What each of n admitted vehicles knows when it chooses its rank; row i is one vehicle.

    Attributes:
        round: Number of the round, from 0.
        time_s: Virtual time, seconds.
        vehicle: (n,) vehicle index.
        rsu: (n,) index of the serving RSU.
        device: (n,) device class.
        feasible: (n, A) whether the rank is expected to end by the deadline and its joules are still there.
        predicted_j: (n, A) joules the vehicle expects to spend.
        predicted_s: (n, A) seconds from download to the end of the upload that it expects.
        residence_s: (n,) predicted time until it leaves the RSU, seconds.
        rate_bps: (n,) upload rate it expects from its distance to the RSU, bits/s.
    """

    round: int
    time_s: float
    vehicle: Ints
    rsu: Ints
    device: Ints
    feasible: NDArray[np.bool_]
    predicted_j: Floats
    predicted_s: Floats
    residence_s: Floats
    rate_bps: Floats

    def __len__(self) -> int:
        return len(self.vehicle)

    def part(self, rows: slice) -> Offers:
        """Return some of the rows; their columns are views."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        cut = {name: value[rows] for name, value in values.items() if isinstance(value, np.ndarray)}
        return Offers(**values | cut)


@dataclass(frozen=True)
class Feedback:
    """What each of n vehicles saw of the update it started; row i is one vehicle.

    Attributes:
        round: Number of the round, from 0.
        vehicle: (n,) vehicle index.
        rank: (n,) rank it trained, positive.
        reward: (n,) in [0, 1]; 0 where the update was not delivered.
        joules: (n,) joules it really spent.
        latency_s: (n,) seconds until delivery or loss.
        delivered: (n,) whether the RSU got the update.
        gain: (n,) in [0, 1], the reward without what latency took from it; as the reward if not given.
    """

    round: int
    vehicle: Ints
    rank: Ints
    reward: Floats
    joules: Floats
    latency_s: Floats
    delivered: NDArray[np.bool_]
    gain: Floats | None = None

    def __post_init__(self) -> None:
        """Refuse rewards and gains outside [0, 1] and joules that are negative or not finite.

        Raises:
            InputError: Names the column and the first vehicle.
        """
        _check_column("reward", self.reward, self.vehicle, 1.0, "in [0, 1]")
        if self.gain is not None:
            _check_column("gain", self.gain, self.vehicle, 1.0, "in [0, 1]")
        _check_column("joules", self.joules, self.vehicle, np.inf, "finite and not negative")

    def __len__(self) -> int:
        return len(self.vehicle)

    def take(self, rows: NDArray[np.bool_]) -> Feedback:
        """Return what some of the vehicles saw."""
        kept = {name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        values: dict[str, Any] = {**vars(self), **kept}
        return Feedback(**values)


def _check_column(name: str, values: Floats, vehicle: Ints, most: float, need: str) -> None:
    good = np.isfinite(values) & (values >= 0) & (values <= most)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise InputError(
            f"vehicle {vehicle[row]} reports {name} {values[row]}",
            where=f"feedback.{name}",
            mend=f"it must be {need}",
        )


@dataclass(frozen=True)
class Account:
    """What a task's coordinator sees of its joules when a round is over.

    Attributes:
        spent_j: Joules the task spent in the round.
        allotted_j: Joules it was allotted for the round, infinite without a budget: what was left before it,
            spread evenly over the rest of the horizon.
        total_j: Joules it has spent so far.
        budget_j: Joules it may spend in all, infinite without a budget.
        progress: Part of the horizon that is over, in (0, 1]: of rounds or of time, whichever is more.
        time_binds: Whether, at the pace so far, time will be over before the rounds are: then a longer round
            means fewer of them.
    """

    spent_j: float
    allotted_j: float
    total_j: float
    budget_j: float
    progress: float
    time_binds: bool = False

    def __post_init__(self) -> None:
        """Refuse joules that are no numbers, and spent ones that are negative or not finite.

        Raises:
            InputError: Names the attribute.
        """
        for name in ("spent_j", "total_j", "allotted_j", "budget_j"):
            value, spent = getattr(self, name), name in ("spent_j", "total_j")
            if np.isnan(value) or (spent and not 0 <= value < np.inf):
                need = "finite and not negative" if spent else "a number, or infinite"
                raise InputError(
                    f"the account says {value}", where=f"account.{name}", mend=f"it must be {need}"
                )

    @property
    def excess(self) -> float:
        """How far the round's spending was above what it was allotted, relative to it; 0 without a budget."""
        if not np.isfinite(self.allotted_j):
            return 0.0
        return self.spent_j / self.allotted_j - 1.0 if self.allotted_j > 0 else float(self.spent_j > 0)


class Policy(ABC):
    """Chooses a rank for every admitted vehicle of one task.

    Subclass it, give it ``Options`` if it has any, and register it::

        @POLICIES.register("mine")
        class Mine(Policy):
            def select(self, offers, rng):
                return np.where(offers.feasible[:, 0], self.context.ranks[0], 0)

    Args:
        context: What is known when the run begins.
        options: The policy's own configuration.
    """

    class Options(Settings):
        """Configuration of the policy; a subclass overrides it."""

    @classmethod
    def check(cls, options: Any, ranks: Sequence[int], devices: Sequence[str]) -> None:
        """Refuse options that do not go with the experiment, before anything is computed.

        Args:
            options: The policy's own configuration.
            ranks: The arms, ascending.
            devices: Names of the device classes.

        Raises:
            ConfigError: They do not; the default finds nothing wrong.
        """

    def __init__(self, context: PolicyContext, options: Settings) -> None:
        self.check(options, context.ranks.tolist(), context.device_names)
        self.context = context
        self.options = options

    @abstractmethod
    def select(self, offers: Offers, rng: np.random.Generator) -> Ints:
        """Return the (n,) ranks that the vehicles choose; 0 means that a vehicle sits this round out.

        A positive rank must be one of ``context.ranks`` and feasible for its row.
        """

    def update(self, feedback: Feedback) -> None:
        """Learn from the updates of a round. The default learns nothing."""

    @classmethod
    def learns(cls) -> bool:
        """Tell whether the policy learns from updates: vehicles then measure what they gained, for joules."""
        return cls.update is not Policy.update

    def forget(self, vehicle: Ints) -> None:
        """Drop what these vehicles have learned by themselves; what a fleet shares stays.

        A vehicle forgets when its computer starts anew. The default has nothing to drop.
        """

    def settle(self, account: Account) -> None:
        """Take the coordinator's step at the end of a round; the default does nothing."""

    @property
    def price(self) -> float:
        """Price of a joule, relative to the reference, that the coordinator broadcasts (lambda)."""
        return 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return everything the policy has learned, as arrays and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        if state:
            raise InputError(
                f"{type(self).__name__} keeps no state but was given {sorted(state)}",
                mend="override state_dict and load_state_dict together",
            )


#: Policies by the name that a configuration uses.
POLICIES: Registry[type[Policy]] = Registry("policy")


def checked_ranks(policy: Policy, ranks: object, offers: Offers) -> Ints:
    """Return a policy's choice as an integer column after checking it against the contract.

    Raises:
        InputError: Wrong length, not whole numbers, outside the arms, or not feasible; names the policy.
    """
    who = f"policy {type(policy).__name__}"
    chosen = np.asarray(ranks)
    if chosen.shape != (len(offers),):
        raise InputError(
            f"select returned shape {chosen.shape} for {len(offers)} vehicles",
            where=who,
            mend="return one rank a row of the offers",
        )
    if chosen.dtype.kind not in "iu":
        raise InputError(
            f"select returned {chosen.dtype} values", where=who, mend="return whole numbers, 0 to skip"
        )
    chosen = chosen.astype(np.int64)
    arms = policy.context.ranks
    started = np.flatnonzero(chosen != 0)
    column = np.searchsorted(arms, chosen[started]).clip(max=len(arms) - 1)
    outside = arms[column] != chosen[started]
    if outside.any():
        bad = chosen[started][outside][0]
        raise InputError(
            f"select returned rank {bad}, which is not an arm",
            where=who,
            mend=f"choose among {arms.tolist()}, or 0 to skip",
        )
    barred = ~offers.feasible[started, column]
    if barred.any():
        row = started[barred][0]
        raise InputError(
            f"select returned rank {chosen[row]} where it is not feasible (row {row})",
            where=who,
            mend="choose where offers.feasible is true, or 0 to skip",
        )
    return chosen
