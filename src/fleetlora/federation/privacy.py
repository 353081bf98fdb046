"""Differential privacy: an RSU clips every update it accepts and adds Gaussian noise before it uses it.

The clipped quantity is the vector x of all that a vehicle changed: the differences of the factors A and B
and of the head's tensors from what it received, cut to the update's rank; factors that do not train (FFA's A)
stand aside. With the clipping norm C and the noise multiplier z, what goes on is

    x · min(1, C/|x|) + N(0, (z·C)²)        in every coordinate

**Sensitivity.** The noise is on each update by itself, before any merging. Whatever is done afterwards
(weights by samples, robust rules, products, the cloud) is post-processing and needs no sensitivity of its
own. One update moves x by at most C when a vehicle's change is replaced by none at all ("zeroed": Kairouz et
al. 2021, "Practical and Private (Deep) Learning without Sampling or Shuffling", arXiv 2103.00039), and by at
most 2C when it is replaced by any other.

**Composition.** A vehicle sends at most one update of a task in a round, so T rounds in which the task's RSUs
accepted updates are at most T Gaussian mechanisms, composed adaptively by Google's ``dp-accounting``. No
amplification by sampling is claimed: who is admitted depends on where vehicles drive and on what policies
learned, which is no secret random draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fleetlora.errors import MissingDependencyError
from fleetlora.federation.uploads import Upload
from fleetlora.lora.averaged import at_rank
from fleetlora.rng import stream

if TYPE_CHECKING:
    from fleetlora.federation.privacy_settings import PrivacySettings
    from fleetlora.lora import Adapter, AggregationRule

__all__ = ["Privacy", "epsilon"]


class Privacy:
    """Clips updates, adds noise, and keeps account of it.

    Args:
        settings: Clipping norm, noise multiplier and delta.
        tasks: Names of the tasks.
        seed: The experiment's seed.

    Raises:
        MissingDependencyError: The accountant is not installed.
    """

    def __init__(self, settings: PrivacySettings, tasks: Sequence[str], seed: int) -> None:
        _accounting()
        self.settings, self.tasks, self.seed = settings, tuple(tasks), seed
        self.rounds = [0] * len(tasks)

    def protect(
        self, task: int, round: int, uploads: Sequence[Upload], rule: AggregationRule
    ) -> list[Upload]:
        """Return a round's updates, clipped and with noise, and count the round."""
        self.rounds[task] += 1
        return [self._noisy(task, round, upload, rule) for upload in uploads]

    def spent(self) -> dict[str, Any]:
        """Return the guarantee of each task as ``result.json`` has it."""
        z, delta = self.settings.noise_multiplier, self.settings.delta
        assert z is not None
        return {
            "clip_norm": self.settings.clip_norm,
            "noise_multiplier": z,
            "delta": delta,
            "tasks": {
                name: {
                    "rounds": rounds,
                    "epsilon": epsilon(z, rounds, delta),
                    "epsilon_replaced": epsilon(z / 2, rounds, delta),
                }
                for name, rounds in zip(self.tasks, self.rounds, strict=True)
            },
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the rounds counted so far."""
        return {"rounds": list(self.rounds)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self.rounds = [int(rounds) for rounds in state["rounds"]]

    def _noisy(self, task: int, round: int, upload: Upload, rule: AggregationRule) -> Upload:
        adapter, terms = upload.adapter, rule.terms(upload.rank)
        start = at_rank(upload.received, upload.rank, adapter.alpha).tensors()
        trains = {"A": terms.train_a, "B": terms.train_b, "head": True}
        tensors = adapter.tensors()
        moved = {
            name: value.double() - start[name]
            for name, value in tensors.items()
            if trains[name.partition("/")[0]]
        }
        kept = self._clipping(moved)
        rng = stream(self.seed, "privacy", self.tasks[task], round, upload.vehicle)
        sigma = self.settings.sigma
        for name, change in moved.items():
            noise = torch.from_numpy(rng.standard_normal(tuple(change.shape)))
            tensors[name] = (start[name] + kept * change + sigma * noise).float()
        noisy: Adapter = adapter.from_tensors(adapter.rank, adapter.alpha, tensors)
        return replace(upload, adapter=noisy)

    def _clipping(self, moved: Mapping[str, Tensor]) -> float:
        """Return min(1, C/|x|)."""
        norm = sum(float(change.square().sum()) for change in moved.values()) ** 0.5
        return min(1.0, self.settings.clip_norm / norm) if norm else 1.0


@lru_cache(maxsize=256)
def epsilon(noise_multiplier: float, rounds: int, delta: float) -> float:
    """Return epsilon of ``rounds`` Gaussian mechanisms, composed, at ``delta``.

    Args:
        noise_multiplier: Standard deviation of the noise over the sensitivity.
        rounds: How many times a vehicle's data may have been used; 0 costs nothing.
        delta: In (0, 1).

    Raises:
        MissingDependencyError: The accountant is not installed.
    """
    if rounds == 0:
        return 0.0
    accounting = _accounting()
    event = accounting.SelfComposedDpEvent(accounting.GaussianDpEvent(noise_multiplier), rounds)
    return float(accounting.pld.PLDAccountant().compose(event).get_epsilon(delta))


def _accounting() -> Any:
    try:
        import dp_accounting
        import dp_accounting.pld
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "differential privacy needs dp-accounting", mend="pip install 'fleetlora[privacy]'"
        ) from error
    return dp_accounting
