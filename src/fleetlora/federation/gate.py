"""The RSU's gate: what it refuses, what it adds noise to, and how it merges the rest.

Updates pass in this order:

1. **checks**, of one update at a time: one a round, of this round, not sent before; tensors as declared
   and as sent out; finite.
2. **privacy**, where it is on: clipping and noise. All that follows sees only noisy updates.
3. **norm bound**, of all updates that a task's RSUs received in the round: they tell each other the norms,
   two numbers an update. An update is refused if its layers' or its head's change is above

       median + k · 1.4826 · max(MAD, median/10)

   of these norms and those of the newest accepted ones, which less than half of them cannot push up.
   1.4826·MAD is a normal distribution's standard deviation; its floor keeps vehicles that are much alike
   from refusing one that is a little different.
4. **merging** at each RSU by the robust rule over the aggregation rule.

Without an attack there are honest vehicles alone, so what is not finite is training that diverged: an error
that ends the run, as it must, not a vehicle to be refused.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fleetlora.federation.defence import DefenceSettings
from fleetlora.federation.privacy import Privacy
from fleetlora.federation.uploads import Refusal, Upload, first_of_each
from fleetlora.lora import Adapter, AggregationRule
from fleetlora.lora.aggregation import check_finite, not_finite
from fleetlora.lora.changes import PARTS, change_of, norms

__all__ = ["Gate", "norm_limits"]

Floats = NDArray[np.float64]


@dataclass
class _Memory:
    """What the RSUs of one task remember: digests of each vehicle's last update, and accepted norms."""

    norms: deque[tuple[float, ...]]
    seen: dict[str, str] = field(default_factory=dict)


class Gate:
    """Takes the updates that reach the RSUs.

    Args:
        rule: The aggregation rule.
        defence: What is refused, and how the rest is merged.
        n_tasks: K.
        attacked: Whether bad vehicles are about; what is not finite is an error otherwise.
        privacy: What is done so that no vehicle's data shows in a model, if anything.
    """

    def __init__(
        self,
        rule: AggregationRule,
        defence: DefenceSettings,
        n_tasks: int,
        attacked: bool = False,
        privacy: Privacy | None = None,
    ) -> None:
        self.rule, self.defence, self.attacked, self.privacy = rule, defence, attacked, privacy
        self.robust = defence.robust_rule()
        self.robust.check(rule)
        self._memory = [_Memory(deque(maxlen=defence.norm_window)) for _ in range(n_tasks)]

    def admit(self, task: int, round: int, uploads: Sequence[Upload]) -> tuple[list[Upload], list[Refusal]]:
        """Return the updates of one task and round that are accepted, noise added, and what is refused.

        Raises:
            InputError: Training diverged, and nobody attacks.
        """
        taken: list[Upload] = list(uploads)
        refused: list[Refusal] = []
        if self.defence.checks:
            taken, refused = self._checked(task, round, uploads)
        if self.privacy is not None and taken:
            taken = self.privacy.protect(task, round, taken, self.rule)
        if self.defence.norm_bound is not None and taken:
            taken, large = self._bounded(task, taken)
            refused += large
        return taken, refused

    def chosen(self, uploads: Sequence[Upload]) -> list[Upload]:
        """Return those of one RSU's accepted updates that :meth:`merge` merges."""
        mine = self.robust.chosen([u.received for u in uploads], [u.adapter for u in uploads])
        return [uploads[i] for i in mine]

    def merge(self, uploads: Sequence[Upload], model: Adapter) -> Adapter:
        """Return the model that accepted updates of one RSU make of its model before the round."""
        return self.robust.merge(
            self.rule,
            [upload.received for upload in uploads],
            [upload.adapter for upload in uploads],
            [upload.samples for upload in uploads],
            model,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what the RSUs remember of updates, and what privacy has been spent."""
        tasks = [{"norms": [list(pair) for pair in m.norms], "seen": dict(m.seen)} for m in self._memory]
        return {"tasks": tasks, "privacy": self.privacy.state_dict() if self.privacy else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        window = self.defence.norm_window
        self._memory = [
            _Memory(deque((tuple(pair) for pair in kept["norms"]), maxlen=window), dict(kept["seen"]))
            for kept in state["tasks"]
        ]
        if self.privacy is not None:
            self.privacy.load_state_dict(state["privacy"])

    def _checked(
        self, task: int, round: int, uploads: Sequence[Upload]
    ) -> tuple[list[Upload], list[Refusal]]:
        taken, refused = [], []
        first = first_of_each([u.vehicle for u in uploads], [u.round for u in uploads])
        for upload, is_first in zip(uploads, first.tolist(), strict=True):
            wrong = self._wrong(task, round, upload, is_first)
            if wrong is None:
                taken.append(upload)
            else:
                refused.append(Refusal(task, upload.vehicle, upload.rsu, *wrong))
        return taken, refused

    def _wrong(self, task: int, round: int, upload: Upload, is_first: bool) -> tuple[str, float] | None:
        """Return why one update is refused, and the number that is wrong; ``None`` if nothing is."""
        if upload.round != round:
            return "stale", upload.round
        if not is_first:
            return "repeated", np.nan
        if wrong := _misshapen(upload):
            return wrong
        if not self.attacked:
            check_finite([upload.adapter])
        elif not_finite(upload.adapter):
            return "not finite", np.nan
        seen, digest = self._memory[task].seen, _digest(upload.adapter)
        if seen.get(str(upload.vehicle)) == digest:
            return "replayed", np.nan
        seen[str(upload.vehicle)] = digest
        return None

    def _bounded(self, task: int, uploads: Sequence[Upload]) -> tuple[list[Upload], list[Refusal]]:
        """Return the updates whose change is not out of the ordinary, and the others."""
        assert self.defence.norm_bound is not None
        known = self._memory[task].norms
        mine = norms([change_of(u.received, u.adapter) for u in uploads]).numpy()
        limits = norm_limits(np.array([*known, *mine]), self.defence.norm_bound, self.defence.norm_warmup)
        taken, refused = [], []
        for upload, found in zip(uploads, mine, strict=True):
            above = np.flatnonzero(~(found <= limits))
            if len(above):
                part = int(above[0])
                why = f"norm of the {PARTS[part]}"
                refused.append(Refusal(task, upload.vehicle, upload.rsu, why, float(found[part])))
            else:
                taken.append(upload)
                known.append(tuple(found.tolist()))
        return taken, refused


def norm_limits(known: Floats, bound: float, warmup: int) -> Floats:
    """Return the largest norm of each part that is accepted, (2,); infinite while too few are known.

    Args:
        known: (n, 2) norms of layers and head.
        bound: k, deviations above the median.
        warmup: Fewest norms that count as a fleet.
    """
    if len(known) < warmup:
        return np.full(len(PARTS), np.inf)
    known = np.where(np.isfinite(known), known, np.inf)
    middle = np.median(known, axis=0)
    with np.errstate(invalid="ignore"):  # a distance between infinities is no number, and no small one
        apart = np.nan_to_num(np.abs(known - middle), nan=np.inf)
    deviation = np.maximum(np.median(apart, axis=0), middle / 10)
    return np.asarray(middle + bound * 1.4826 * deviation)


def _misshapen(upload: Upload) -> tuple[str, float] | None:
    """Return what is wrong with the tensors' names and shapes, if anything is."""
    adapter, received = upload.adapter, upload.received
    if not 0 <= upload.rank <= received.rank or adapter.rank != upload.rank:
        return "rank", float(adapter.rank)
    tensors, sent = adapter.tensors(), received.tensors()
    if set(tensors) != set(sent) and upload.rank:
        return "shape", np.nan
    for name, value in tensors.items():
        expected = list(sent[name].shape) if name in sent else []
        if value.dtype != torch.float32 or value.dim() != len(expected):
            return "shape", np.nan
        if not name.startswith("head/"):
            axis = 0 if name.startswith("A/") else 1
            if value.shape[axis] != upload.rank:
                return "rank", float(value.shape[axis])
            expected[axis] = upload.rank
        if list(value.shape) != expected:
            return "shape", np.nan
    return None


def _digest(adapter: Adapter) -> str:
    found = hashlib.blake2b(digest_size=16)
    for name, value in adapter.tensors().items():
        found.update(name.encode())
        found.update(value.contiguous().numpy().data)
    return found.hexdigest()
