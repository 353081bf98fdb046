"""Vehicles that send what they should not: one kind of attack by a share of the fleet.

What an update does is written θ, all tensors of factors and head together, and θ0 for what was received:

    silent          nothing is sent: what bad vehicles cost that do no harm
    nan, infinite   one entry of θ is not a number, or infinite
    shape           the last tensor has a row too few
    rank            factors of one rank more than the update says
    scale           θ0 + factor·(θ − θ0); with a factor of a million, an update of enormous norm
    sign-flip       θ0 − factor·(θ − θ0)
    stale           the vehicle's first update again, as the old one that it is
    replay          the same, passed off as this round's
    repeat          the update twice
    label-flip      honest training on texts whose label c says C − 1 − c
    lie-reward      reports the reward 1
    lie-joules      reports to have spent nothing
    lie-rank        reports the largest rank, whatever it trained

``sign-flip`` and ``scale`` act on the factors: the product changes by −factor (or factor) times what training
changed, to first order in the change. Who attacks is drawn once, from the experiment's seed. A lie concerns
what a policy learns from; joules that are really spent are booked as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from fleetlora.federation.uploads import Upload
from fleetlora.rng import stream
from fleetlora.scheduling import Feedback
from fleetlora.settings import Settings, quantity

if TYPE_CHECKING:
    from fleetlora.lora import Adapter
    from fleetlora.tasks import Shards, TaskData

__all__ = ["Attack", "AttackSettings"]


class AttackSettings(Settings):
    """What bad vehicles do, and how many they are. It is off unless a kind is named."""

    kind: Literal[
        "none",
        "silent",
        "nan",
        "infinite",
        "shape",
        "rank",
        "scale",
        "sign-flip",
        "stale",
        "replay",
        "repeat",
        "label-flip",
        "lie-reward",
        "lie-joules",
        "lie-rank",
    ] = quantity("none", "1", "what bad vehicles do; none: there are none")
    share: float = quantity(0.2, "1", "part of the fleet that is bad", "a common setting", ge=0, le=1)
    factor: float = quantity(10.0, "1", "scale and sign-flip: how many times the change", gt=0)


class Attack:
    """The bad vehicles of a run.

    Args:
        settings: What they do.
        n_vehicles: V, size of the fleet.
        seed: The experiment's seed.
    """

    def __init__(self, settings: AttackSettings, n_vehicles: int, seed: int) -> None:
        self.settings, self.seed = settings, seed
        order = stream(seed, "attack").permutation(n_vehicles)
        self.bad: NDArray[np.bool_] = np.zeros(n_vehicles, dtype=np.bool_)
        if settings.kind != "none":
            self.bad[order[: round(settings.share * n_vehicles)]] = True
        self._earlier: dict[tuple[int, int], Upload] = {}  # by task and vehicle

    @property
    def on(self) -> bool:
        """Whether there is any bad vehicle."""
        return bool(self.bad.any())

    def data(self, data: TaskData, shards: Shards) -> tuple[TaskData, Shards]:
        """Return a task's data and who holds what, with other labels for the bad vehicles' samples."""
        if self.settings.kind != "label-flip":
            return data, shards
        n = len(data.train.labels)
        owner, holder = (
            np.repeat(np.arange(shards.n_vehicles), np.diff(offsets))
            for offsets in (shards.offsets, shards.holdout_offsets)
        )
        flipped: Any = _flipped(data.train, len(data.classes))
        return replace(data, train=flipped), replace(
            shards,
            rows=shards.rows + n * self.bad[owner],
            holdout_rows=shards.holdout_rows + n * self.bad[holder],
        )

    def send(self, task: int, uploads: Sequence[Upload]) -> list[Upload]:
        """Return what the vehicles really send instead of what honest ones would."""
        return [sent for upload in uploads for sent in self._sent(task, upload)]

    def report(self, feedback: Feedback, ranks: NDArray[np.int64]) -> Feedback:
        """Return what the vehicles tell of their updates instead of what they saw.

        Args:
            feedback: What they saw.
            ranks: (A,) the ranks they could have trained.
        """
        lies = self.bad[feedback.vehicle]
        if self.settings.kind == "lie-reward":
            gain = None if feedback.gain is None else np.where(lies, 1.0, feedback.gain)
            return replace(feedback, reward=np.where(lies, 1.0, feedback.reward), gain=gain)
        if self.settings.kind == "lie-joules":
            return replace(feedback, joules=np.where(lies, 0.0, feedback.joules))
        if self.settings.kind == "lie-rank":
            return replace(feedback, rank=np.where(lies, ranks[-1], feedback.rank))
        return feedback

    def state_dict(self) -> dict[str, Any]:
        """Return the updates that are kept to be sent again."""
        return {
            "earlier": [
                {
                    "task": task,
                    "vehicle": vehicle,
                    "rsu": kept.rsu,
                    "round": kept.round,
                    "rank": kept.rank,
                    "samples": kept.samples,
                    "received": kept.received.state_dict(),
                    "adapter": kept.adapter.state_dict(),
                }
                for (task, vehicle), kept in sorted(self._earlier.items())
            ]
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        from fleetlora.lora import Adapter

        self._earlier = {
            (kept["task"], kept["vehicle"]): Upload(
                kept["vehicle"],
                kept["rsu"],
                kept["round"],
                kept["rank"],
                kept["samples"],
                Adapter.from_state(kept["received"]),
                Adapter.from_state(kept["adapter"]),
            )
            for kept in state["earlier"]
        }

    def _sent(self, task: int, upload: Upload) -> list[Upload]:
        """Return what one vehicle sends."""
        kind = self.settings.kind
        if not self.bad[upload.vehicle]:
            return [upload]
        if kind == "silent":
            return []
        if kind == "repeat":
            return [upload, upload]
        if kind in ("stale", "replay"):
            earlier = self._earlier.setdefault((task, upload.vehicle), upload)
            number = earlier.round if kind == "stale" else upload.round
            return [replace(upload, round=number, rank=earlier.rank, adapter=earlier.adapter)]
        if kind in _TAMPERED:
            sent = _TAMPERED[kind](upload.received, upload.adapter, self.settings.factor)
            return [replace(upload, adapter=sent)]
        return [upload]


def _spoiled(adapter: Adapter, value: float) -> Adapter:
    """Return the adapter with ``value`` in the last entry of its first tensor."""
    spoiled = adapter.copy()
    next(iter(spoiled.tensors().values())).view(-1)[-1] = value
    return spoiled


def _shortened(adapter: Adapter) -> Adapter:
    """Return the adapter with its last tensor a row short."""
    tensors = adapter.tensors()
    name, last = list(tensors.items())[-1]
    return adapter.from_tensors(adapter.rank, adapter.alpha, {**tensors, name: last[:-1]})


def _widened(adapter: Adapter) -> Adapter:
    """Return the factors of one rank more, under the rank that the adapter says."""
    from torch.nn.functional import pad

    A = {name: pad(value, (0, 0, 0, 1)) for name, value in adapter.A.items()}
    B = {name: pad(value, (0, 1)) for name, value in adapter.B.items()}
    return replace(adapter, A=A, B=B)


def _moved(received: Adapter, adapter: Adapter, factor: float) -> Adapter:
    """Return θ0 + factor·(θ − θ0) of every tensor, of what was received cut to the update's rank."""
    from fleetlora.lora.averaged import at_rank

    start = at_rank(received, adapter.rank).tensors()
    moved = {name: start[name] + factor * (value - start[name]) for name, value in adapter.tensors().items()}
    return adapter.from_tensors(adapter.rank, adapter.alpha, moved)


#: What becomes of an honest adapter: (received, trained, factor) → sent.
_TAMPERED: dict[str, Callable[[Adapter, Adapter, float], Adapter]] = {
    "nan": lambda received, adapter, factor: _spoiled(adapter, float("nan")),
    "infinite": lambda received, adapter, factor: _spoiled(adapter, float("inf")),
    "shape": lambda received, adapter, factor: _shortened(adapter),
    "rank": lambda received, adapter, factor: _widened(adapter),
    "scale": _moved,
    "sign-flip": lambda received, adapter, factor: _moved(received, adapter, -factor),
}


class _Flipped:
    """A data set and, behind its N samples, the same again with label c turned into C − 1 − c."""

    def __init__(self, honest: Any, n_classes: int) -> None:
        self._honest, self._n = honest, len(honest.labels)
        self.labels = np.concatenate([honest.labels, n_classes - 1 - honest.labels])
        self.lengths = np.concatenate([honest.lengths, honest.lengths])

    def batch(self, rows: NDArray[np.int64]) -> dict[str, np.ndarray]:
        """Return the backbone's inputs for ``rows``."""
        batch: dict[str, np.ndarray] = self._honest.batch(rows % self._n)
        return batch


#: Flipped data by the id of the honest data and the number of classes, as long as someone uses them; they
#: keep the honest data, so no other data can come by that id.
_in_use: WeakValueDictionary[tuple[int, int], _Flipped] = WeakValueDictionary()


def _flipped(honest: Any, n_classes: int) -> _Flipped:
    """Return the flipped data, the same object each time: caches know data sets by their identity."""
    key = (id(honest), n_classes)
    found = _in_use.get(key)
    if found is None:
        found = _in_use[key] = _Flipped(honest, n_classes)
    return found
