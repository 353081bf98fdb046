"""How many bits a vehicle could move along its true track if the RSU's channel were its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fleetlora.physics.link import Link
from fleetlora.physics.piecewise import first_reach, value_at
from fleetlora.settings import Settings, quantity

__all__ = ["Capacity", "Sampling", "capacity_along"]

Floats = NDArray[np.float64]

#: Positions (x_m, y_m), each ``(n, K)``, of the n vehicles at times ``(n, K)`` seconds.
TrackReader = Callable[[Floats], tuple[Floats, Floats]]


class Sampling(Settings):
    """How finely a track is read to integrate the rate along it."""

    knot_spacing_m: float = quantity(
        2.5, "m", "path between two knots", "a quarter of the 10 m shadowing correlation", gt=0
    )
    knot_spacing_s: float = quantity(
        2.0,
        "s",
        "time between two knots, where a vehicle stands or crawls",
        "stops in traffic last tens of seconds",
        gt=0,
    )
    probe_s: float = quantity(
        1.0, "s", "time step at which the length of the path is measured", "fix interval of SUMO", gt=0
    )


@dataclass(frozen=True)
class Capacity:
    """Bits that a lone vehicle could have moved since the first knot, linear between knots.

    Attributes:
        t_s: ``(n, K)`` knots in seconds, non-decreasing along each row, K at least 2.
        down_bits: ``(n, K)`` cumulative bits from RSU to vehicle at full bandwidth.
        up_bits: ``(n, K)`` cumulative bits from vehicle to RSU at full bandwidth.
        on_s: ``(n, K)`` cumulative seconds in which the RSU's radio is on; None: always.
    """

    t_s: Floats
    down_bits: Floats
    up_bits: Floats
    on_s: Floats | None = None

    def __post_init__(self) -> None:
        """Refuse tables that are not cumulative."""
        shape = np.shape(self.t_s)
        names = ["t_s", "down_bits", "up_bits", *(["on_s"] if self.on_s is not None else [])]
        alike = all(np.shape(getattr(self, name)) == shape for name in names)
        if len(shape) != 2 or shape[1] < 2 or not alike:
            raise ValueError("Capacity needs tables (n, K) of one shape with K of at least 2")
        for name in names:
            table = np.asarray(getattr(self, name), dtype=np.float64)
            if not np.isfinite(table).all() or (np.diff(table, axis=1) < 0).any():
                raise ValueError(f"Capacity.{name} must be finite and must not fall along a row")
            object.__setattr__(self, name, np.ascontiguousarray(table))

    @classmethod
    def constant(cls, t0_s: ArrayLike, t1_s: ArrayLike, down_bps: ArrayLike, up_bps: ArrayLike) -> Capacity:
        """Return the capacity of rates that do not change between ``t0_s`` and ``t1_s``, all ``(n,)``."""
        t0, t1, down, up = np.broadcast_arrays(
            *(np.atleast_1d(np.asarray(a, np.float64)) for a in (t0_s, t1_s, down_bps, up_bps))
        )
        span = np.stack([np.zeros_like(t0), t1 - t0], axis=1)
        return cls(t0[:, None] + span, down[:, None] * span, up[:, None] * span)

    @classmethod
    def stacked(cls, parts: Sequence[Capacity]) -> Capacity:
        """Return the rows of all parts as one table; shorter ones rest on their last knot."""
        knots = max(part.t_s.shape[1] for part in parts)

        def column(tables: Sequence[Floats]) -> Floats:
            return np.concatenate(
                [np.pad(table, ((0, 0), (0, knots - table.shape[1])), mode="edge") for table in tables]
            )

        always = all(part.on_s is None for part in parts)
        return cls(
            column([part.t_s for part in parts]),
            column([part.down_bits for part in parts]),
            column([part.up_bits for part in parts]),
            None if always else column([part._seconds_on for part in parts]),
        )

    def scaled(
        self,
        edges_s: Floats,
        share: Callable[[Floats], Floats],
        on: Callable[[Floats], Floats] | None = None,
    ) -> Capacity:
        """Return the capacity with its rates multiplied by shares that change at known times only.

        Args:
            edges_s: ``(n, M)`` times at which a row's share, or whether its RSU is on, may change.
            share: Gives the shares ``(n, K)`` at times ``(n, K)``.
            on: Gives 1 where the RSU's radio is on and 0 where it is off; as before if not given.
        """
        edges = np.clip(edges_s, self.t_s[:, :1], self.t_s[:, -1:])
        t = np.sort(np.concatenate([self.t_s, edges], axis=1), axis=1)
        middle = (t[:, 1:] + t[:, :-1]) / 2
        kept, lit = share(middle), 1.0 if on is None else on(middle)
        rows = np.repeat(np.arange(len(t)), t.shape[1])

        def table(values: Floats, times: Floats | float) -> Floats:
            fine = value_at(self.t_s, values, rows, t.ravel()).reshape(t.shape)
            scaled = np.zeros_like(t)
            np.cumsum(np.maximum(np.diff(fine, axis=1), 0.0) * times, axis=1, out=scaled[:, 1:])
            return scaled

        always = on is None and self.on_s is None
        on_s = None if always else table(self._seconds_on, lit)
        return Capacity(t, table(self.down_bits, kept), table(self.up_bits, kept), on_s)

    @property
    def _seconds_on(self) -> Floats:
        """(n, K) cumulative seconds in which the RSU's radio is on; only their growth means anything."""
        return self.t_s if self.on_s is None else self.on_s


def capacity_along(
    tracks_at: TrackReader,
    link: Link,
    site: ArrayLike,
    t0_s: ArrayLike,
    t1_s: ArrayLike,
    sampling: Sampling | None = None,
) -> Capacity:
    """Integrate the true rates of n vehicles towards their sites along their true tracks.

    Knots lie where the vehicle moves: at most ``knot_spacing_m`` of path and ``knot_spacing_s`` apart.
    All rows have as many as the longest needs.
    Between knots the rate is taken as linear in time for the integral (trapezoid).

    Args:
        tracks_at: Gives positions ``(x_m, y_m)``, each ``(n, K)``, at times ``(n, K)``.
        link: The radio channel.
        site: ``(n,)`` serving site of each vehicle.
        t0_s: ``(n,)`` where integration starts, seconds.
        t1_s: ``(n,)`` where it ends, not before ``t0_s``.
        sampling: How finely tracks are read.

    Returns:
        Capacity whose first and last knots are exactly ``t0_s`` and ``t1_s``.

    Raises:
        ValueError: ``t1_s`` before ``t0_s``, or a position that is not finite in between.
    """
    sampling = sampling or Sampling()
    t0, t1 = np.asarray(t0_s, dtype=np.float64), np.asarray(t1_s, dtype=np.float64)
    if (t1 < t0).any():
        raise ValueError("capacity_along: t1_s lies before t0_s")
    t = _knots(tracks_at, t0, t1, sampling)
    down_bps, up_bps = link.rates_bps(site, *tracks_at(t))
    return Capacity(t, _cumulative(t, down_bps), _cumulative(t, up_bps))


def _knots(tracks_at: TrackReader, t0: Floats, t1: Floats, sampling: Sampling) -> Floats:
    """Return ``(n, K)`` times, equally far apart in path and time together."""
    longest_s = float((t1 - t0).max(initial=0.0))
    probes = _spread(t0, t1, int(np.ceil(longest_s / sampling.probe_s)) + 1)
    x, y = tracks_at(probes)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("capacity_along: a vehicle has no position between t0_s and t1_s")
    steps = np.hypot(np.diff(x, axis=1), np.diff(y, axis=1)) / sampling.knot_spacing_m
    steps += np.diff(probes, axis=1) / sampling.knot_spacing_s
    walked = np.zeros_like(probes)
    np.cumsum(steps, axis=1, out=walked[:, 1:])
    n_knots = int(np.ceil(walked[:, -1].max(initial=0.0))) + 1
    wanted = _spread(np.zeros_like(t0), walked[:, -1], n_knots)
    rows = np.repeat(np.arange(len(t0)), wanted.shape[1])
    knots = first_reach(probes, walked, rows, wanted.ravel()).reshape(wanted.shape)
    knots[:, 0], knots[:, -1] = t0, t1
    return np.maximum.accumulate(knots, axis=1)


def _spread(start: Floats, stop: Floats, n: int) -> Floats:
    """Return ``(len(start), max(n, 2))`` evenly spaced values whose ends are exact."""
    table = np.linspace(start, stop, max(n, 2), axis=1)
    table[:, 0], table[:, -1] = start, stop
    return np.asarray(table)


def _cumulative(t: Floats, rate: Floats) -> Floats:
    bits = np.zeros_like(t)
    np.cumsum((rate[:, 1:] + rate[:, :-1]) / 2 * np.diff(t, axis=1), axis=1, out=bits[:, 1:])
    return bits
