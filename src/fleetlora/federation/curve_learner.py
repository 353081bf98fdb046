"""Learning without training: a fitted curve says what every update brings (:mod:`fleetlora.curves`).

Vehicles, bytes, joules, residence and policies are as real as ever; only the model is a number, the mass of
what has been merged. Whatever is made with it says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetlora.curves import Costs, Recipe, TaskCurve, Work
from fleetlora.errors import ConfigError
from fleetlora.federation.costs import UpdateCosts
from fleetlora.federation.learner import Jobs, Learned, Score
from fleetlora.lora import LocalTraining
from fleetlora.rng import stream
from fleetlora.tail import tail_length
from fleetlora.tasks import Shards

__all__ = ["CurveLearner", "costs_at"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class CurveLearner:
    """Moves a mass along a learning curve instead of training a model.

    Args:
        names: K names of tasks.
        curves: K curves.
        recipe: Key of the aggregation rule and step size, the same for all tasks.
        shards: Which samples each vehicle holds, one entry a task.
        ranks: (A,) the arms.
        training: How the step size decays.
        tail: Part of the syncs whose models are averaged into the one that is handed out.
        seed: Seed of what vehicles see on their held-out samples.

    Raises:
        ConfigError: The recipe is not among those of a curve, or an arm is a rank whose costs it cannot tell.
    """

    def __init__(
        self,
        names: Sequence[str],
        curves: Sequence[TaskCurve],
        recipe: str,
        shards: Sequence[Shards],
        ranks: Ints,
        training: LocalTraining,
        tail: float,
        seed: int,
    ) -> None:
        self.names, self.curves, self.shards, self.seed = names, curves, shards, seed
        self.training, self.tail = training, tail
        self.recipes = [_recipe(curve, recipe) for curve in curves]
        self._costs = [costs_at(mine.costs, ranks) for mine in self.recipes]
        self._sent = [np.zeros(len(mine.counts), dtype=np.int64) for mine in shards]
        # One entry a sync that merged something: the mass, and the mean step size of what was merged.
        self._mass: list[list[float]] = [[] for _ in names]
        self._rate: list[list[float]] = [[] for _ in names]
        # What waits for the next sync: contributions, and the sum and number of their step sizes.
        self._waiting = [np.zeros(3) for _ in names]

    def costs(self, task: int, vehicle: Ints | None = None) -> UpdateCosts:
        """Return the bytes and FLOPs of an update of each rank, the same for every vehicle."""
        return self._costs[task]

    def samples(self, task: int) -> Ints:
        """Return the (V,) number of training samples that each vehicle holds."""
        return self.shards[task].counts

    def test_steps(self, task: int) -> Floats:
        """Return (V,) how many local steps take as long as measuring a vehicle's gain."""
        return self.shards[task].holdout_counts / self.training.batch_size

    def train(self, task: int, round: int, jobs: Jobs, progress: float) -> Learned:
        """Let every job contribute to the next sync; return what its vehicle sees."""
        curve, mine, mass = self.curves[task], self.recipes[task], self._now(task)
        rate = self.training.decay_at(progress)
        work = Work(
            jobs.rank,
            jobs.steps,
            self.samples(task)[jobs.vehicle],
            np.full(len(jobs), rate),
            self._sent[task][jobs.vehicle],
        )
        contributed = curve.contribution.of(work, mine.factor)
        self._waiting[task] += (contributed.sum(), rate * len(jobs), len(jobs))
        self._sent[task][jobs.vehicle] += 1
        return self._seen(task, round, jobs, work, mass)

    def _seen(self, task: int, round: int, jobs: Jobs, work: Work, mass: float) -> Learned:
        """Return losses and accuracies on the vehicles' held-out samples, NaN where they hold none."""
        curve, mine, n = self.curves[task], self.recipes[task], len(jobs)
        rng = stream(self.seed, "curve", self.names[task], round)
        offset, spread = curve.local_loss
        expected = max(1e-3, float(curve.loss.at(mass, mine.loss_shift)))
        before = expected * np.exp(offset + spread * rng.standard_normal(n))
        left = curve.accuracy.headroom(np.full(n, mass))
        gain = curve.gain.mean(work, left) + curve.gain.spread * rng.standard_normal(n)
        accuracy = float(curve.accuracy.at(mass, mine.accuracy_shift))
        told = np.where(self.shards[task].holdout_counts[jobs.vehicle] > 0, 1.0, np.nan)
        after = before * (1.0 - np.clip(gain, -1.0, 1.0))
        return Learned(
            told * before,
            told * after,
            told * np.clip(accuracy, 0.0, 1.0),
            told * np.clip(accuracy + curve.local_accuracy, 0.0, 1.0),
        )

    def _now(self, task: int) -> float:
        return self._mass[task][-1] if self._mass[task] else 0.0

    def sync(self, task: int) -> None:
        """Turn the contributions since the last sync into mass."""
        contributed, rates, count = self._waiting[task].tolist()
        if count:
            self._mass[task].append(self._now(task) + self.curves[task].contribution.mass(contributed))
            self._rate[task].append(rates / count)
            self._waiting[task][:] = 0.0

    def model_bytes(self, task: int) -> int:
        """Return the bytes of one RSU's model on the backhaul."""
        return self.recipes[task].costs.model_bytes

    def privacy(self) -> None:
        """Return nothing: a curve has no updates to protect."""

    def evaluate(self, task: int, samples: int | None) -> Score:
        """Return where the curve stands; the mean over the last syncs, as models are averaged."""
        curve, mine = self.curves[task], self.recipes[task]
        mass, rate = self._tail_mean(self._mass[task]), self._tail_mean(self._rate[task])
        accuracy = float(curve.accuracy.at(mass, mine.accuracy_shift)) - curve.unsettled * rate
        loss = float(curve.loss.at(mass, mine.loss_shift))
        count = curve.test_samples if samples is None else min(samples, curve.test_samples)
        return Score(min(1.0, max(0.0, accuracy)), max(0.0, loss), count)

    def _tail_mean(self, values: Sequence[float]) -> float:
        """Return the mean of the last values, as many as models are averaged; 0 where there is none."""
        kept = int(tail_length(self.tail, len(values)))
        return float(np.mean(values[-kept:])) if kept else 0.0

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return nothing: there is no model."""
        return {}

    def save(self, task: int, directory: Path) -> None:
        """Write nothing: there is no model."""

    def state_dict(self) -> dict[str, Any]:
        """Return the masses, what waits to be merged, and what each vehicle has sent."""
        return {
            "mass": [list(values) for values in self._mass],
            "rate": [list(values) for values in self._rate],
            "waiting": [values.copy() for values in self._waiting],
            "sent": [values.copy() for values in self._sent],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self._mass = [[float(x) for x in values] for values in state["mass"]]
        self._rate = [[float(x) for x in values] for values in state["rate"]]
        self._waiting = [np.array(values, dtype=np.float64) for values in state["waiting"]]
        self._sent = [np.array(values, dtype=np.int64) for values in state["sent"]]


def _recipe(curve: TaskCurve, key: str) -> Recipe:
    if key not in curve.recipes:
        raise ConfigError(
            f"the curve was not fitted to runs with {key}",
            where="learner.curve",
            mend=f"use one of {'; '.join(sorted(curve.recipes))}, or fit it to runs of this method too",
        )
    return curve.recipes[key]


def costs_at(costs: Costs, ranks: Ints) -> UpdateCosts:
    """Return the costs at ``ranks`` (A,): recorded ones as they are, others on the line through them.

    Bytes and FLOPs of an adapter are a constant plus a multiple of its rank.

    Raises:
        ConfigError: A rank was not recorded, and fewer than two were.
    """
    known = np.array(costs.ranks, dtype=np.float64)
    unknown = sorted(set(ranks.tolist()) - set(costs.ranks))
    if unknown and len(known) < 2:
        raise ConfigError(
            f"the curve's runs never used rank {unknown[0]}, and too few others to tell what it costs",
            where="lora.ranks",
            mend=f"use the ranks {list(costs.ranks)}, or fit the curve to runs of more ranks",
        )

    def at(values: Sequence[float]) -> Floats:
        recorded = dict(zip(costs.ranks, values, strict=True))
        line = np.polyfit(known, values, 1) if unknown else np.zeros(2)
        return np.array([recorded.get(rank, float(np.polyval(line, rank))) for rank in ranks.tolist()])

    return UpdateCosts(
        ranks=ranks,
        bytes_down=np.rint(at(costs.bytes_down)).astype(np.int64),
        bytes_up=np.rint(at(costs.bytes_up)).astype(np.int64),
        flops_per_step=at(costs.flops_per_step),
    )
