"""Spans of time in which something is wrong with a subject: an RSU, a vehicle, the cloud."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Windows"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """M windows of S subjects, sorted by subject, then begin; those of a subject do not overlap.

    Attributes:
        n_subjects: S.
        subject: (M,) whom each concerns.
        begin_s: (M,) when it begins.
        end_s: (M,) when it is over; it holds at its begin and no longer at its end.
    """

    n_subjects: int
    subject: Ints
    begin_s: Floats
    end_s: Floats

    @classmethod
    def none(cls, n_subjects: int) -> Windows:
        """Return no windows at all."""
        return cls(n_subjects, np.empty(0, np.int64), np.empty(0), np.empty(0))

    @classmethod
    def drawn(
        cls, n_subjects: int, every_s: float, lasts_s: float, horizon_s: float, rng: np.random.Generator
    ) -> Windows:
        """Return the windows of an alternating renewal process for each subject.

        Every subject begins well; times without and with a window are exponential.

        Args:
            n_subjects: S.
            every_s: Mean time from the end of one to the begin of the next.
            lasts_s: Mean length.
            horizon_s: No window begins at or after this.
            rng: Generator of this kind of fault.
        """
        parts, clock_s = [], np.zeros(n_subjects)
        alive = np.arange(n_subjects)
        while len(alive):
            begin_s = clock_s + rng.exponential(every_s, len(alive))
            end_s = begin_s + rng.exponential(lasts_s, len(alive))
            before = begin_s < horizon_s
            alive, begin_s, clock_s = alive[before], begin_s[before], end_s[before]
            parts.append((alive, begin_s, clock_s))
        if not parts:
            return cls.none(n_subjects)
        subject, begin_s, end_s = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(subject, kind="stable")  # the rounds of the loop are in time already
        return cls(n_subjects, subject[order], begin_s[order], end_s[order])

    @classmethod
    def of(cls, n_subjects: int, rows: Iterable[tuple[int, float, float]]) -> Windows:
        """Return given windows (subject, begin_s, end_s), overlapping ones of a subject joined."""
        joined: list[tuple[int, float, float]] = []
        for subject, begin_s, end_s in sorted(rows):
            if joined and joined[-1][0] == subject and begin_s <= joined[-1][2]:
                joined[-1] = (subject, joined[-1][1], max(joined[-1][2], end_s))
            else:
                joined.append((subject, begin_s, end_s))
        if not joined:
            return cls.none(n_subjects)
        subjects, begins_s, ends_s = zip(*joined, strict=True)
        return cls(n_subjects, np.array(subjects, np.int64), np.array(begins_s), np.array(ends_s))

    def __len__(self) -> int:
        return len(self.subject)

    def at(self, time_s: ArrayLike, subject: Ints | None = None) -> Ints:
        """Return the window in which a subject is at a time, −1 where it is in none.

        Args:
            time_s: Times of any shape that fits ``subject``'s.
            subject: Subjects; (S,) all of them if not given.
        """
        subject = np.arange(self.n_subjects) if subject is None else subject
        subject, time_s = np.broadcast_arrays(subject, np.asarray(time_s, dtype=np.float64))
        if not len(self):
            return np.full(subject.shape, -1, dtype=np.int64)
        row = self._last(subject, time_s)
        return np.where((row >= self._first[subject]) & (time_s < self.end_s[row]), row, -1)

    def next_begin_s(self, subject: Ints, after_s: float) -> Floats:
        """Return (n,) when the subjects' next windows begin after a moment, infinite where none does."""
        row = self._last(subject, np.full(len(subject), after_s)) + 1
        there = row < self._first[subject + 1]
        begin_s = np.full(len(subject), np.inf)
        begin_s[there] = self.begin_s[row[there]]
        return begin_s

    def beginning(self, from_s: float, to_s: float) -> Ints:
        """Return the windows that begin in ``[from_s, to_s)``."""
        return np.flatnonzero((self.begin_s >= from_s) & (self.begin_s < to_s))

    def edges_s(self, subject: Ints, from_s: Floats, to_s: Floats) -> Floats:
        """Return (n, M) all begins and ends within each span ``[from_s, to_s]``, filled up with ``to_s``."""
        begin_s, end_s = self._within(subject, from_s, to_s)
        return np.concatenate([begin_s, end_s], axis=1)

    def seconds(self, subject: Ints, from_s: Floats, to_s: Floats) -> Floats:
        """Return (n,) for how long of each span ``[from_s, to_s]`` its subject is in a window."""
        begin_s, end_s = self._within(subject, from_s, to_s)
        return np.asarray((end_s - begin_s).sum(axis=1))

    def _within(self, subject: Ints, from_s: Floats, to_s: Floats) -> tuple[Floats, Floats]:
        """Return (n, M) begins and ends of each span's windows, cut to the span; ``to_s`` fills up."""
        first = np.maximum(self._last(subject, from_s), self._first[subject])
        after = self._last(subject, to_s) + 1
        width = int((after - first).max(initial=0))
        row = first[:, None] + np.arange(width)
        held = row < after[:, None]
        row = np.where(held, row, 0)
        low, high = from_s[:, None], to_s[:, None]
        begin_s = np.where(held, np.clip(self.begin_s[row], low, high), high)
        return begin_s, np.where(held, np.clip(self.end_s[row], low, high), high)

    @cached_property
    def _first(self) -> Ints:
        """(S + 1,) subject s owns the rows ``_first[s]:_first[s + 1]``."""
        return np.searchsorted(self.subject, np.arange(self.n_subjects + 1)).astype(np.int64)

    @cached_property
    def _span_s(self) -> float:
        return float(self.begin_s.max(initial=0.0)) + 2.0

    @cached_property
    def _key(self) -> Floats:
        """(M,) begins on one line on which the subjects follow one another."""
        return self.subject * self._span_s + self.begin_s

    def _last(self, subject: Ints, time_s: Floats) -> Ints:
        """Return the subject's last window that has begun, the row before its first where none has."""
        first, after = self._first[subject], self._first[subject + 1]
        if not len(self):
            return first - 1
        row = np.searchsorted(
            self._key, subject * self._span_s + np.clip(time_s, -1.0, self._span_s - 1), side="right"
        )
        row = np.clip(row, first, after)
        # the key is rounded; a step either way undoes that
        row += (row < after) & (self.begin_s[np.minimum(row, len(self) - 1)] <= time_s)
        row -= (row > first) & (self.begin_s[np.maximum(row, 1) - 1] > time_s)
        return row - 1
