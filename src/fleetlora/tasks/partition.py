"""Spreading a task's training rows over the vehicles: by label skew, by place, or group by group."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from fleetlora.errors import ConfigError, InputError
from fleetlora.settings import Settings, quantity
from fleetlora.tasks.dealing import deal_groups, deal_rows
from fleetlora.tasks.shards import Shards, cut_holdout
from fleetlora.tasks.subsets import largest_remainder

__all__ = ["Partition"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_WAVES = 128


class Partition(Settings):
    """Who holds which rows.

    ``dirichlet``: every holder's label mix is a draw of Dirichlet(alpha) (Hsu, Qi, Brown, 2019).
    ``place``: holders that live near each other hold similar labels; each class is liked more in some parts
    of the city than in others, by a smooth random field.
    ``group``: all rows of a group (one filmed sign, one driver) stay on one vehicle. If it has others too, it
    trains on all of them or holds them all out.
    """

    kind: Literal["dirichlet", "place", "group"] = Field(
        "dirichlet", description="how rows find their vehicle"
    )
    holders: float = quantity(1.0, "1", "share of the vehicles that hold rows of this task", gt=0, le=1)
    alpha: float = quantity(
        0.5, "1", "Dirichlet concentration: small is one class per vehicle, large is all alike", gt=0, le=1e6
    )
    temperature: float = quantity(
        0.5, "1", "kind 'place': small is one class per place, large is all alike", ge=0.01
    )
    place_scale_m: float = quantity(1500.0, "m", "kind 'place': distance over which likings change", gt=0)
    quantity_skew: float = quantity(
        0.0, "1", "sigma of the log-normal weights that holders' sizes follow; 0 is equal sizes", ge=0, le=10
    )
    min_samples: int = quantity(4, "rows", "fewest rows of a holder", ge=1)
    max_samples: int | None = quantity(None, "rows", "most rows of a holder; further rows stay unused", ge=1)
    copies: int = quantity(
        1, "1", "vehicles that may hold the same row, for fleets too large for the data", ge=1
    )
    holdout: float = quantity(
        0.2, "1", "share of a vehicle's rows it measures its own gain on, at least one of four", ge=0, lt=1
    )

    @model_validator(mode="after")
    def _consistent(self) -> Partition:
        if self.max_samples is not None and self.max_samples < self.min_samples:
            raise ValueError("max_samples must be at least min_samples")
        return self

    def split(
        self,
        labels: Ints,
        n_vehicles: int,
        rng: np.random.Generator,
        home_xy: Floats | None = None,
        groups: npt.NDArray[Any] | None = None,
    ) -> Shards:
        """Deal the rows out.

        Args:
            labels: (N,) int64 class of each training row.
            n_vehicles: V.
            rng: Random generator.
            home_xy: (V, 2) float64 metres, where each vehicle mostly drives; kind ``place`` needs it.
            groups: (N,) origin of each row; kind ``group`` needs it.

        Returns:
            Shards of V vehicles. Each row is with at most ``copies`` vehicles and at most once with one; with
            several, some of them may hold it out and others train on it.

        Raises:
            ConfigError: There are too few rows for so many holders, or no groups for kind ``group``.
            InputError: ``home_xy`` is missing, of the wrong shape or not finite.
        """
        labels = np.asarray(labels, np.int64)
        n_holders = max(1, round(self.holders * n_vehicles))
        holders = np.sort(rng.permutation(n_vehicles)[:n_holders])
        codes = np.unique(labels, return_inverse=True)[1]
        members = self._group_codes(groups)
        preference = (
            None if members is not None else self._preference(holders, int(codes.max()) + 1, home_xy, rng)
        )
        owners: list[Ints] = []
        rows: list[Ints] = []
        for block in np.array_split(rng.permutation(n_holders), min(self.copies, n_holders)):
            sizes = self._sizes(len(block), len(labels), n_vehicles, rng)
            if preference is not None:
                to = deal_rows(codes, sizes, preference[block], rng)
            else:
                assert members is not None
                to = self._whole_groups(members, sizes, rng)
            dealt = np.flatnonzero(to >= 0)
            owners.append(holders[block[to[dealt]]])
            rows.append(dealt)
        vehicle, row = np.concatenate(owners), np.concatenate(rows)
        group = None if members is None else members[row]
        return cut_holdout(vehicle, row, n_vehicles, self.holdout, 4, rng, group)

    def _sizes(self, n_holders: int, n_rows: int, n_vehicles: int, rng: np.random.Generator) -> Ints:
        spare = n_rows - n_holders * self.min_samples
        if spare < 0:
            raise self._too_few_rows(n_rows, n_vehicles)
        weights = np.exp(self.quantity_skew * rng.standard_normal(n_holders))
        sizes = self.min_samples + largest_remainder(weights, spare)
        return sizes if self.max_samples is None else np.minimum(sizes, self.max_samples)

    def _too_few_rows(self, n_rows: int, n_vehicles: int) -> ConfigError:
        wanted = max(1, round(self.holders * n_vehicles))
        possible = n_rows // self.min_samples  # holders of one copy of the rows
        mend = "lower min_samples"
        if possible:
            share = np.floor(1e6 * possible * self.copies / n_vehicles) / 1e6
            mend = f"set holders to at most {share:g}, copies to {-(-wanted // possible)}, or {mend}"
        return ConfigError(
            f"{wanted} holders of at least {self.min_samples} rows each need more rows than "
            f"{self.copies} x {n_rows}",
            where="partition.holders",
            mend=mend,
        )

    def _preference(
        self, holders: Ints, n_classes: int, home_xy: Floats | None, rng: np.random.Generator
    ) -> Floats:
        """Return (H, C) positive weights."""
        shape = (len(holders), n_classes)
        if self.kind == "dirichlet":
            # log of a Gamma(alpha) draw, safe for small alpha: Gamma(a) = Gamma(a + 1) · U^(1/a)
            larger = np.log(rng.standard_gamma(self.alpha + 1, shape))
            return larger + np.log1p(-rng.random(shape)) / self.alpha
        home = np.asarray(home_xy, np.float64) if home_xy is not None else np.empty((0, 2))
        if home.ndim != 2 or home.shape[1:] != (2,) or len(home) <= holders[-1]:
            raise InputError("needs the home position of every vehicle", where="partition.kind")
        if not np.isfinite(home[holders]).all():
            raise InputError("a vehicle's home position is not finite", where="partition.kind")
        return liking(home[holders], n_classes, self.place_scale_m, rng) / self.temperature

    def _group_codes(self, groups: npt.NDArray[Any] | None) -> Ints | None:
        if self.kind != "group":
            return None
        if groups is None:
            raise ConfigError(
                "the task's data has no groups",
                where="partition.kind",
                mend="name the column or array of groups in the task's source, or use 'dirichlet'",
            )
        return np.unique(groups, return_inverse=True)[1].astype(np.int64)

    def _whole_groups(self, members: Ints, sizes: Ints, rng: np.random.Generator) -> Ints:
        to = deal_groups(members, sizes, rng, self.max_samples)
        fewest = int(np.bincount(to[to >= 0], minlength=len(sizes)).min())
        if fewest < self.min_samples:
            rows, raised = f"{self.min_samples}", "copies"
            if self.max_samples is not None:
                rows, raised = f"{rows} to {self.max_samples}", "copies or max_samples"
            raise ConfigError(
                f"{members.max() + 1} groups cannot give {len(sizes)} holders {rows} rows each",
                where="partition.holders",
                mend=f"lower holders or min_samples, or raise {raised}",
            )
        return to


def liking(xy: Floats, n_classes: int, scale_m: float, rng: np.random.Generator) -> Floats:
    """Return how much each class is liked at each place: C independent smooth Gaussian random fields.

    Zero mean, unit variance, correlation exp(−d²/2·scale²) at distance d, as a sum of random waves
    (Rahimi and Recht, Random Features for Large-Scale Kernel Machines, 2007).

    Args:
        xy: (H, 2) float64 metres.
        n_classes: C.
        scale_m: Distance at which the correlation has fallen to 0.61.
        rng: Random generator.

    Returns:
        (H, C) float64.
    """
    waves = rng.standard_normal((2, _WAVES)) / scale_m
    phase = xy @ waves
    features = np.concatenate([np.cos(phase), np.sin(phase)], axis=1) / np.sqrt(_WAVES)
    field: Floats = features @ rng.standard_normal((2 * _WAVES, n_classes))
    return field
