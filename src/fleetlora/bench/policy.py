"""``fleetlora bench policy``: UCB-DUAL for a million vehicles at once, against one bandit object each.

The rival is mabwiser (Strong, Kleynhans and Kadıoğlu 2021): its UCB1, one ``MAB`` a vehicle, one ``predict``
and one ``partial_fit`` a round. Its loop takes equally long for every vehicle, so it is timed on a sample of
them and scaled. UCB-DUAL is timed as it is used, with pooled statistics and foresight, and with a table row a
vehicle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

import numpy as np

from fleetlora.bench.registry import BENCHES
from fleetlora.bench.timing import spread, timed
from fleetlora.console import Progress
from fleetlora.errors import InputError
from fleetlora.rng import stream
from fleetlora.scheduling import Feedback, Offers, PolicyContext, UcbDual
from fleetlora.settings import Settings, quantity
from fleetlora.threads import one_thread

__all__ = ["PolicySpeed"]

_KINDS: dict[str, dict[str, Any]] = {
    "pooled, foresight": {},
    "a row a vehicle": {"pooled": False, "foresight": False},
}


@BENCHES.register("policy")
class PolicySpeed(Settings):
    """How many vehicles and arms."""

    vehicles: int = quantity(1_000_000, "1", "vehicles that decide at once", ge=1)
    arms: int = quantity(8, "1", "ranks to choose from", ge=2)
    repeats: int = quantity(7, "1", "rounds that are timed", ge=1)
    sample: int = quantity(1000, "1", "vehicles for which mabwiser is timed", ge=1)
    rival: bool = quantity(True, "1", "whether mabwiser is timed; needs the extra 'bench'")
    seed: int = quantity(0, "1", "seed of the fleet", ge=0)

    def measure(self, progress: Progress) -> dict[str, Any]:
        """Play rounds of both."""
        measured: dict[str, Any] = {
            "settings": self.model_dump(mode="json"),
            "clock": "processor seconds, one thread",
        }
        with one_thread():
            for name, options in _KINDS.items():
                progress.say(f"UCB-DUAL, {name}")
                measured[name] = self._ucb_dual(options)
            if self.rival:
                progress.say(f"mabwiser, {self.sample} vehicles")
                measured["mabwiser"] = self._mabwiser()
                whole = measured["mabwiser"]["scaled_s"]
                for name in _KINDS:
                    took = {step: measured[name][step]["median_s"] for step in ("select", "update")}
                    measured[name]["ratio"] = (whole["select"] + whole["update"]) / sum(took.values())
                    measured[name]["ratio_select"] = whole["select"] / took["select"]
        return measured

    def lines(self, measured: Mapping[str, Any]) -> Iterator[str]:
        """Yield one line for each form, and the rival's."""
        for name in _KINDS:
            one = measured[name]
            line = (
                f"{name}: select {one['select']['median_s']:.3f} s, update {one['update']['median_s']:.3f} s"
            )
            yield f"{line}, {one['ratio']:,.0f}× mabwiser" if "ratio" in one else line
        if "mabwiser" in measured:
            scaled = measured["mabwiser"]["scaled_s"]
            yield f"mabwiser, scaled: select {scaled['select']:.1f} s, update {scaled['update']:,.0f} s"

    def _ucb_dual(self, options: dict[str, Any]) -> dict[str, Any]:
        rng = stream(self.seed, "bench", "policy")
        context = self._context(rng)
        policy = UcbDual(context, UcbDual.Options(**options))
        select_s, update_s = [], []
        for number in range(self.repeats + 1):  # the first round touches fresh memory and is not counted
            offers = self._offers(context, rng, number)
            (took,), rank = timed(lambda offers=offers: policy.select(offers, rng))  # type: ignore[misc]
            select_s.append(took)
            pulled = np.flatnonzero(rank)
            n = len(pulled)
            feedback = Feedback(
                number,
                pulled,
                rank[pulled],
                rng.random(n),
                rng.uniform(1.0, 50.0, n),
                np.full(n, 5.0),
                rank[pulled] > 0,
            )
            (took,), _ = timed(lambda feedback=feedback: policy.update(feedback))  # type: ignore[misc]
            update_s.append(took)
        return {"select": spread(select_s[1:]), "update": spread(update_s[1:])}

    def _context(self, rng: np.random.Generator) -> PolicyContext:
        return PolicyContext(
            task="bench",
            ranks=2 ** np.arange(self.arms, dtype=np.int64),
            n_vehicles=self.vehicles,
            device=rng.integers(0, 3, self.vehicles),
            device_names=("small", "medium", "large"),
            device_flops_per_s=np.array([1e10, 5e10, 2e11]),
            reference_j=np.linspace(5.0, 40.0, self.arms),
            scale_j=50.0,
            deadline_s=30.0,
            latency_weight=0.1,
        )

    def _offers(self, context: PolicyContext, rng: np.random.Generator, number: int) -> Offers:
        n, shape = self.vehicles, (self.vehicles, self.arms)
        return Offers(
            round=number,
            time_s=30.0 * number,
            vehicle=np.arange(n),
            rsu=np.zeros(n, dtype=np.int64),
            device=context.device,
            feasible=rng.random(shape) < 0.9,
            predicted_j=rng.uniform(1.0, 50.0, shape),
            predicted_s=rng.uniform(1.0, 30.0, shape),
            residence_s=rng.uniform(1.0, 100.0, n),
            rate_bps=rng.uniform(1e6, 2e7, n),
        )

    def _mabwiser(self) -> dict[str, Any]:
        try:
            from mabwiser.mab import MAB, LearningPolicy
        except ModuleNotFoundError:
            raise InputError(
                "mabwiser is not installed",
                where="bench policy",
                mend="pip install 'fleetlora[bench]', or --set rival=false",
            ) from None
        arms = list(range(self.arms))
        learners = [MAB(arms, LearningPolicy.UCB1(alpha=1.0), seed=self.seed) for _ in range(self.sample)]
        for learner in learners:
            learner.fit(arms, [0.5] * self.arms)
        select_s, predicted = timed(lambda: [learner.predict() for learner in learners])
        chosen = list(zip(learners, predicted, strict=True))
        update_s, _ = timed(lambda: [learner.partial_fit([arm], [0.5]) for learner, arm in chosen])
        scale = self.vehicles / self.sample
        return {
            "version": metadata.version("mabwiser"),
            "vehicles_timed": self.sample,
            "timed_s": {"select": select_s[0], "update": update_s[0]},
            "scaled_s": {"select": select_s[0] * scale, "update": update_s[0] * scale},
        }
