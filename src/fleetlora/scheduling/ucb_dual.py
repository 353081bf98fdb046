"""UCB-DUAL: every vehicle chooses its rank by an optimistic index against a broadcast price of energy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from pydantic import field_validator

from fleetlora.scheduling.contexts import Contexts
from fleetlora.scheduling.estimates import Estimates, pooled_estimates, row_estimates
from fleetlora.scheduling.policy import (
    POLICIES,
    Account,
    Feedback,
    Floats,
    Ints,
    Offers,
    Policy,
    PolicyContext,
)
from fleetlora.scheduling.statistics import ArmTable
from fleetlora.settings import Settings, quantity

__all__ = ["UcbDual"]

_INSTANT_S = 1e-3  # a latency below it counts as this long, for it has no logarithm
_BLOCK = 1 << 12  # vehicles that choose at once: large enough to vectorise, small enough for the cache


class _Bounds(NamedTuple):
    """Optimistic reward and cost of every arm; both (n, A)."""

    value: Floats
    cost: Floats

    def take(self, row: Ints) -> _Bounds:
        """Return the bounds of (n,) rows."""
        return _Bounds(self.value.take(row, axis=0), self.cost.take(row, axis=0))


@POLICIES.register("ucb-dual")
class UcbDual(Policy):
    """The constrained bandit of Zheng et al. 2025 (arXiv 2508.09532), and what we add to it.

    Vehicle; arms a = ranks, reward u in [0, 1], cost c = joules / e_ref in [0, 1], n pulls of a, t of all::

        index(a) = min(1, mean_u(a) + bonus(a)) − lambda · max(0, mean_c(a) − bonus(a))
        bonus(a) = b · sqrt(2 ln t / n(a))
        a_t      = argmax over feasible a of index(a); each arm once first; ties to the lowest rank

    Coordinator of the task, once a round, with the joules of the round and those it was allotted::

        lambda <- clip(lambda + eta_t · (spent/allotted − 1), 0, lambda_max),   eta_t = eta_0 / sqrt(t)

    Only lambda and the pooled table travel down; only arm, reward and joules travel up. Added as options:

    * ``skip``: sitting out is an arm of known index 0.
    * ``pooled``: statistics belong to contexts (:class:`Contexts`) shared by the fleet, so that a newcomer
      starts from what others learned; rare contexts lean on their device class, and that on the fleet.
    * ``foresight``: latency and joules are not learned but foreseen from the vehicle's own link and device;
      the bandit learns the gain alone. With g the gain, tau(a) the foreseen latency, beta its weight::

          index(a) = min(1, mean_g(a) + bonus(a)) − beta · tau(a) / Delta − lambda · c(a)

      Where time will be over before the rounds are, a second costs what could be gained in it. With
      ``gain_latencies`` = k the second term is then g_mean · tau(a) / T_g. Here g_mean is the fleet's mean
      gain so far, so the price shrinks as gains do, and T_g is k times the typical latency, the geometric
      mean of what the lowest rank is foreseen to take, over all offers until now with which a vehicle could
      have begun: one more number that is broadcast. Vehicles whose lowest rank would miss the deadline have
      no say in it, for nothing is gained in their time. ``gain_time_s`` gives T_g in seconds instead, which
      is right in one world only.

    * ``freshness`` = gamma: what a vehicle's data teach shrinks as they are used again and again, and one
      that stays close to an RSU would be asked in every round. With m its own updates that came through and
      m_mean those of the mean vehicle that has any (one more number that is broadcast), its value counts
      min(1, ((1 + m_mean) / (1 + m))^gamma) times: joules go where they have not been yet.

    * ``discount``: an observation loses weight from round to round, because gains shrink as training goes on.
    * ``tightened``: the coordinator aims below the allotment by epsilon_t = min(1/2, epsilon_0 / sqrt(t)),
      which trades reward for fewer violations (Liu et al. 2021, "An efficient pessimistic-optimistic
      algorithm for stochastic linear bandits with general constraints", arXiv 2102.05295).
    """

    class Options(Settings):
        """Constants of the index and of the price, and the additions."""

        bonus: float = quantity(0.1, "1", "b, width of the confidence bonus", ge=0)
        step: float = quantity(1.0, "1", "eta_0, step of the price; 0 leaves it at its start", ge=0)
        price_start: float = quantity(0.0, "1", "lambda before the first round", ge=0)
        price_max: float = quantity(20.0, "1", "lambda_max", gt=0)
        skip: bool = quantity(True, "1", "whether sitting out is an arm")
        pooled: bool = quantity(True, "1", "whether the fleet shares its statistics by context")
        lean: float = quantity(
            4.0, "pulls", "pooled: most pulls that a context borrows from the level above it", ge=0
        )
        foresight: bool = quantity(True, "1", "whether latency and joules are foreseen rather than learned")
        latency_weight: float | None = quantity(
            None,
            "1",
            "foresight: beta, by which latency counts against a rank; the reward's if not given",
            ge=0,
        )
        gain_latencies: float | None = quantity(
            None, "1", "foresight, where time is short: typical latencies that cost one mean gain", gt=0
        )
        gain_time_s: float | None = quantity(
            None, "s", "the same in seconds; goes before gain_latencies", gt=0
        )
        freshness: float = quantity(
            0.0, "1", "gamma: how much a vehicle's updates beyond the fleet's mean count against it", ge=0
        )
        discount: float = quantity(1.0, "1", "weight an observation keeps from round to round", gt=0, le=1)
        tightened: float = quantity(0.0, "1", "epsilon_0: how far below the allotment it aims", ge=0)
        link_edges_bps: tuple[float, ...] = quantity(
            (5e6, 12e6), "bit/s", "pooled: upload rates that part the link buckets"
        )
        residence_edges: tuple[float, ...] = quantity(
            (0.5, 2.0), "deadlines", "pooled: predicted residences that part the residence buckets"
        )

        @field_validator("link_edges_bps", "residence_edges")
        @classmethod
        def _edges(cls, edges: tuple[float, ...]) -> tuple[float, ...]:
            if any(low >= high for low, high in pairwise((0.0, *edges))):
                raise ValueError("edges must be positive and ascending")
            return edges

    options: Options

    def __init__(self, context: PolicyContext, options: Options) -> None:
        super().__init__(context, options)
        self.contexts = Contexts(
            len(context.device_names), options.link_edges_bps, options.residence_edges, context.deadline_s
        )
        rows = len(self.contexts) if options.pooled else context.n_vehicles
        self.table = ArmTable(rows, len(context.ranks), options.discount)
        self._row = np.full(context.n_vehicles, -1, dtype=np.int64)  # each vehicle's row when it last chose
        self._updates = np.zeros(context.n_vehicles, dtype=np.int64)  # of each vehicle that came through
        self._price = min(options.price_start, options.price_max)
        self._rounds = 0
        self._time_binds = False
        self._feasible = 0  # offers so far with which a vehicle could have begun
        self._log_latency = 0.0  # sum over these of the logarithm of the lowest rank's latency

    def select(self, offers: Offers, rng: np.random.Generator) -> Ints:
        """Return the rank of the largest index; 0 where none is feasible or, with ``skip``, worth it."""
        row = self.contexts.of(offers) if self.options.pooled else offers.vehicle
        self._row[offers.vehicle] = row
        fresh, latency_price = self._fresh(offers.vehicle), self._latency_price
        if self.options.gain_latencies is not None:
            latency_s = offers.predicted_s[offers.feasible[:, 0], 0]
            self._feasible += len(latency_s)
            self._log_latency += float(np.log(np.maximum(latency_s, _INSTANT_S)).sum())
        fleet = self._bounds(self._estimates(np.arange(len(self.contexts)))) if self.options.pooled else None
        chosen = np.empty(len(offers), dtype=np.int64)
        for start in range(0, len(offers), _BLOCK):
            rows = slice(start, start + _BLOCK)
            bounds = fleet.take(row[rows]) if fleet else self._bounds(self._estimates(row[rows]))
            part = offers.part(rows)
            chosen[rows] = self._best(self._index(bounds, fresh[rows], latency_price, part), part)
        return chosen

    def index(self, known: Estimates, offers: Offers) -> Floats:
        """Return (n, A) the index of every arm; row i of what is known is that of offer i."""
        return self._index(self._bounds(known), self._fresh(offers.vehicle), self._latency_price, offers)

    def _bounds(self, known: Estimates) -> _Bounds:
        """Return how good and how cheap every arm may be, for each row of estimates.

        An arm never tried may be worth 1 and cost nothing; a vehicle that learns alone tries it first of all.
        """
        tried = known.count > 0
        total = np.maximum(known.count.sum(axis=1, keepdims=True), 1.0)
        bonus = self.options.bonus * np.sqrt(2.0 * np.log(total) / np.where(tried, known.count, 1.0))
        bonus = np.where(tried, bonus, 1.0)
        value = np.minimum(1.0, known.reward + bonus)
        if not self.options.pooled:
            value[~tried] = np.inf
        return _Bounds(value, np.maximum(0.0, known.cost - bonus))

    def _index(self, bounds: _Bounds, fresh: Floats, latency_price: float, offers: Offers) -> Floats:
        value = bounds.value * fresh[:, None] if self.options.freshness else bounds.value
        if self.options.foresight:
            value = value - latency_price * offers.predicted_s
            return value - self._price * self._cost(offers.predicted_j)
        return value - self._price * bounds.cost

    def _best(self, index: Floats, offers: Offers) -> Ints:
        index = np.where(offers.feasible, index, -np.inf)
        arm = index.argmax(axis=1)  # the first of equals: the lowest rank
        best = index[np.arange(len(arm)), arm]
        least = 0.0 if self.options.skip else -np.inf
        return np.where(best > least, self.context.ranks[arm], 0)

    def update(self, feedback: Feedback) -> None:
        """Add what the vehicles saw to their rows."""
        arm = np.searchsorted(self.context.ranks, feedback.rank)
        self._updates[feedback.vehicle[feedback.delivered]] += 1
        self.table.add(self._row[feedback.vehicle], arm, self._learned(feedback), self._cost(feedback.joules))

    def forget(self, vehicle: Ints) -> None:
        """Drop the vehicles' own rows and their numbers of updates; pooled rows are the fleet's."""
        self._updates[vehicle] = 0
        if not self.options.pooled:
            self.table.forget(vehicle)

    def settle(self, account: Account) -> None:
        """Step the price; let old observations fade."""
        self._rounds += 1
        self._time_binds = account.time_binds
        root = np.sqrt(self._rounds)
        aim = 1.0 - min(0.5, self.options.tightened / root)
        excess = (1.0 + account.excess) / aim - 1.0 if np.isfinite(account.allotted_j) else 0.0
        price = self._price + self.options.step / root * excess
        self._price = float(np.clip(price, 0.0, self.options.price_max))
        self.table.decay()

    @property
    def price(self) -> float:
        """Lambda."""
        return self._price

    def state_dict(self) -> dict[str, Any]:
        """Return the table, each vehicle's row and number of updates, the price and the number of rounds."""
        return {
            "table": self.table.state_dict(),
            "row": self._row.copy(),
            "updates": self._updates.copy(),
            "price": self._price,
            "rounds": self._rounds,
            "time_binds": self._time_binds,
            "feasible": self._feasible,
            "log_latency": self._log_latency,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self.table.load_state_dict(state["table"])
        self._row = np.array(state["row"], dtype=np.int64)
        self._updates = np.array(state["updates"], dtype=np.int64)
        self._price, self._rounds = float(state["price"]), int(state["rounds"])
        self._time_binds = bool(state["time_binds"])
        self._feasible = int(state.get("feasible", 0))  # older checkpoints lack it
        self._log_latency = float(state.get("log_latency", 0.0)) if self._feasible else 0.0

    @property
    def _latency_price(self) -> float:
        """What a second of latency costs, in gains."""
        gain_time_s = self._gain_time_s
        if gain_time_s is not None and self._time_binds:
            pulls = self.table.count.sum()
            mean_gain = self.table.reward_sum.sum() / pulls if pulls > 0 else 1.0
            return float(mean_gain / gain_time_s)
        weight = self.options.latency_weight
        beta = self.context.latency_weight if weight is None else weight
        return beta / self.context.deadline_s

    @property
    def _gain_time_s(self) -> float | None:
        """T_g, where it is given."""
        if self.options.gain_time_s is not None or self.options.gain_latencies is None:
            return self.options.gain_time_s
        return self.options.gain_latencies * float(np.exp(self._log_latency / max(self._feasible, 1)))

    def _fresh(self, vehicle: Ints) -> Floats:
        """Return (n,) how much the value of each vehicle's update counts."""
        if not self.options.freshness or not self._updates.any():
            return np.ones(len(vehicle))
        mean = self._updates.sum() / np.count_nonzero(self._updates)
        share = (1.0 + mean) / (1.0 + self._updates[vehicle])
        return np.asarray(np.minimum(1.0, share**self.options.freshness))

    def _estimates(self, row: Ints) -> Estimates:
        if not self.options.pooled:
            return row_estimates(self.table, row)
        return pooled_estimates(self.table, row, self.contexts, self.options.lean)

    def _learned(self, feedback: Feedback) -> Floats:
        """Return (n,) what the bandit learns: the reward, or the gain in it where latency is foreseen."""
        return feedback.gain if self.options.foresight and feedback.gain is not None else feedback.reward

    def _cost(self, joules: Floats) -> Floats:
        return np.minimum(1.0, joules / self.context.scale_j)
