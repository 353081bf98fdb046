"""A cohort's members: what each vehicle brings, how they are put into chunks, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fleetlora.errors import InputError
from fleetlora.lora.adapter import Adapter
from fleetlora.lora.metrics import Metrics

__all__ = ["LocalResult", "Member", "Meter", "Progress", "chunks", "members_of"]

#: Called with the samples done and the samples in all.
Progress = Callable[[int, int], None]

#: Memory for the factors of a chunk of vehicles, bytes, and how many copies of them training keeps: values,
#: two moments, gradients and the group at work.
STATE_BYTES, STATE_COPIES = 2**30, 6

#: Ranks that differ by more than this share of a layer's smaller dimension are not padded to each other.
RANK_SPREAD = 1 / 4


@dataclass(frozen=True)
class LocalResult:
    """What one vehicle's local training gave.

    Args:
        adapter: The trained adapter.
        steps: Steps taken.
        samples: Samples seen over all steps.
        train_loss: Mean over the steps of the batch loss before the step's update; NaN without steps.
        before: Metrics on the holdout of the adapter the vehicle received; ``None`` without holdout.
        after: The same of the adapter it trained.
    """

    adapter: Adapter
    steps: int
    samples: int
    train_loss: float
    before: Metrics | None
    after: Metrics | None

    @property
    def loss_before(self) -> float:
        """Mean holdout cross-entropy before training, NaN without holdout."""
        return self.before.loss if self.before else float("nan")

    @property
    def loss_after(self) -> float:
        """Mean holdout cross-entropy after training, NaN without holdout."""
        return self.after.loss if self.after else float("nan")

    @property
    def accuracy_before(self) -> float:
        """Holdout accuracy before training, NaN without holdout."""
        return self.before.accuracy if self.before else float("nan")

    @property
    def accuracy_after(self) -> float:
        """Holdout accuracy after training, NaN without holdout."""
        return self.after.accuracy if self.after else float("nan")


@dataclass(frozen=True, eq=False)
class Member:
    """One vehicle of a cohort.

    Args:
        index: Its place in the caller's lists.
        adapter: What it received.
        schedule: (steps, batch) int64 rows, negative where there is no sample.
        holdout: (k,) int64 rows.
    """

    index: int
    adapter: Adapter
    schedule: np.ndarray
    holdout: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """Every row it uses, repeats included."""
        return np.concatenate([self.schedule[self.schedule >= 0], self.holdout])

    @property
    def samples(self) -> int:
        """Samples of its whole schedule."""
        return int((self.schedule >= 0).sum())


class Meter:
    """Adds up samples and tells a progress callback."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def add(self, samples: int) -> None:
        """Count ``samples`` more as done."""
        self.done += samples
        if self.progress is not None:
            self.progress(self.done, self.total)


def members_of(
    adapters: Sequence[Adapter],
    schedules: Sequence[np.ndarray],
    holdout: Sequence[np.ndarray] | None,
    count: int,
) -> list[Member]:
    """Return the cohort's members in the caller's order.

    Args:
        adapters: One per vehicle.
        schedules: (steps, batch) rows per vehicle.
        holdout: (k,) rows per vehicle, or ``None``.
        count: Number of examples.

    Raises:
        InputError: Lists of different lengths, rows out of range, or a step without a sample.
    """
    held = holdout if holdout is not None else [np.empty(0, dtype=np.int64)] * len(adapters)
    if not len(adapters) == len(schedules) == len(held):
        raise InputError(
            f"{len(adapters)} adapters, {len(schedules)} schedules and {len(held)} holdouts do not match",
            mend="give one of each per vehicle",
        )
    members = []
    for index, (adapter, schedule, rows) in enumerate(zip(adapters, schedules, held, strict=True)):
        plan, mine = np.asarray(schedule, dtype=np.int64), np.asarray(rows, dtype=np.int64)
        _check_rows(index, plan, mine, count)
        members.append(Member(index, adapter, plan, mine))
    return members


def _check_rows(index: int, plan: np.ndarray, held: np.ndarray, count: int) -> None:
    where = f"vehicle {index} of the cohort"
    if plan.ndim != 2 or held.ndim != 1:
        raise InputError("a schedule is (steps, batch) and a holdout (k,)", where=where)
    if max(plan.max(initial=-1), held.max(initial=-1)) >= count or held.min(initial=0) < 0:
        raise InputError(f"a row lies outside the {count} examples", where=where)
    if len(plan) and not (plan >= 0).any(axis=1).all():
        raise InputError("a step holds no sample", where=where, mend="leave the step out of the schedule")


def chunks(members: Sequence[Member]) -> list[list[Member]]:
    """Split a cohort into chunks that are trained one after the other.

    A chunk's factors are padded to its highest rank, so ranks far apart do not share one, and its factors
    with all that training keeps of them stay under :data:`STATE_BYTES`. Within a chunk those with the most
    steps come first: the ones that still train are always its first rows.
    """
    found: list[list[Member]] = []
    for member in sorted(members, key=lambda m: -m.adapter.rank):
        mate = found[-1][0].adapter if found else None
        if (
            mate is not None
            and mate.rank - member.adapter.rank <= mate.narrowest * RANK_SPREAD
            and (len(found[-1]) + 1) * mate.parameters * STATE_COPIES * 4 <= STATE_BYTES
        ):
            found[-1].append(member)
        else:
            found.append([member])
    return [sorted(chunk, key=lambda m: -len(m.schedule)) for chunk in found]
