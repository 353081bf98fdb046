"""Updates on their way from an RSU's radio to its aggregator: in copies, held up, out of order.

The aggregator takes each update once. It knows an update by its round, task and vehicle, takes the first copy
that comes while the round lasts, and refuses every other: a copy of what it has as a duplicate, anything
that comes after the round as late. What it takes it merges in the order of vehicles, not of arrival.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetlora.faults.settings import Delivery

__all__ = ["Mail", "Taken", "take_once"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Mail:
    """m messages in the order in which they come; each column (m,).

    Attributes:
        update: Number of the update that it is a copy of.
        comes_s: When it comes.
    """

    update: Ints
    comes_s: Floats

    @classmethod
    def drawn(cls, sent_s: Floats, how: Delivery, rng: np.random.Generator) -> Mail:
        """Return the messages that n updates, sent at ``sent_s``, become.

        Args:
            sent_s: (n,) when each was through.
            how: Probabilities and delays.
            rng: Generator of this round's deliveries.
        """
        n = len(sent_s)
        twice = np.flatnonzero(rng.random(n) < how.duplicate)
        update = np.concatenate([np.arange(n), twice])
        held_s = rng.exponential(how.delay_s, 2 * n)[: len(update)]
        held_s = np.where(rng.random(2 * n)[: len(update)] < how.late, held_s, 0.0)
        comes_s = sent_s[update] + held_s
        order = np.lexsort((update, comes_s))
        return cls(update[order], comes_s[order])


@dataclass(frozen=True)
class Taken:
    """What an aggregator did with its messages.

    Attributes:
        comes_s: (n,) when each of n updates was taken; infinite where none of its copies came in time.
        duplicate: (m,) which messages were refused as copies of what was there.
        late: (m,) which were refused because the round was over.
    """

    comes_s: Floats
    duplicate: Bools
    late: Bools


def take_once(mail: Mail, n_updates: int, closes_s: float) -> Taken:
    """Return what an aggregator takes of the messages of a round that is over at ``closes_s``.

    Args:
        mail: m messages in order of arrival.
        n_updates: n, how many updates they are copies of.
        closes_s: When the round is over; what comes at that moment is still in time.
    """
    in_time = mail.comes_s <= closes_s
    rows = np.flatnonzero(in_time)
    known, first = np.unique(mail.update[rows], return_index=True)
    comes_s = np.full(n_updates, np.inf)
    comes_s[known] = mail.comes_s[rows[first]]
    taken = np.zeros(len(mail.update), dtype=np.bool_)
    taken[rows[first]] = True
    have = np.isfinite(comes_s[mail.update])
    return Taken(comes_s, duplicate=have & ~taken, late=~have)
