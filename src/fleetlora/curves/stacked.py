"""The recorded runs of one task as a few long columns, so that a whole fit is a handful of array passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetlora.curves.recorded import Recorded
from fleetlora.tail import tail_length

__all__ = ["Stacked", "tail_means"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Stacked:
    """Runs one after the other: n updates, s syncs, k tests.

    Attributes:
        logs: (n, 5) logarithms of the factors of each update's contribution.
        update_recipe: (n,) number of the recipe of each update's run.
        update_sync: (n,) sync that took each update.
        run_of_sync: (s,) run of each sync, ascending.
        sync_rate: (s,) mean step size of its updates, relative to the run's start.
        begin: (k,) first sync of the models whose mean each test tested.
        end: (k,) last of them plus one; equal to ``begin`` where nothing had been merged.
        test_recipe: (k,) recipe of each test's run.
        accuracy: (k,) accuracy of each test.
        loss: (k,) loss of each test.
        spread: (k,) standard deviation that drawing so few test samples alone gives the accuracy.
    """

    logs: Floats
    update_recipe: Ints
    update_sync: Ints
    run_of_sync: Ints
    sync_rate: Floats
    begin: Ints
    end: Ints
    test_recipe: Ints
    accuracy: Floats
    loss: Floats
    spread: Floats

    @classmethod
    def of(cls, runs: Sequence[Recorded], recipes: Sequence[str]) -> Stacked:
        """Return the columns of ``runs``; recipes are numbered as in ``recipes``."""
        number = {key: i for i, key in enumerate(recipes)}
        syncs = np.array([int(run.sync.max(initial=-1)) + 1 for run in runs], dtype=np.int64)
        first = np.concatenate([[0], np.cumsum(syncs)])
        recipe = np.array([number[run.recipe] for run in runs], dtype=np.int64)
        merged = [run.test_sync for run in runs]
        kept = [tail_length(run.tail, m) for run, m in zip(runs, merged, strict=True)]
        accuracy = np.concatenate([run.accuracy for run in runs])
        samples = np.concatenate([run.test_samples for run in runs])
        likely = np.clip(accuracy, 0.02, 0.98)
        sync = np.concatenate([run.sync + at for run, at in zip(runs, first, strict=False)])
        rates = np.concatenate([run.work.rate for run in runs])
        many = np.bincount(sync, minlength=int(syncs.sum()))
        return cls(
            logs=np.concatenate([run.work.logs() for run in runs]),
            update_recipe=np.repeat(recipe, [len(run.sync) for run in runs]),
            update_sync=sync,
            run_of_sync=np.repeat(np.arange(len(runs)), syncs),
            sync_rate=np.bincount(sync, rates, minlength=len(many)) / many,
            begin=np.concatenate([at + m - k for at, m, k in zip(first, merged, kept, strict=False)]),
            end=np.concatenate([at + m for at, m in zip(first, merged, strict=False)]),
            test_recipe=np.repeat(recipe, [len(m) for m in merged]),
            accuracy=accuracy,
            loss=np.concatenate([run.loss for run in runs]),
            spread=np.sqrt(likely * (1 - likely) / samples),
        )

    def masses(self, exponents: Floats, factors: Floats, together: float) -> Floats:
        """Return the cloud's mass after each sync, (s,).

        Args:
            exponents: (5,) exponents of the contribution.
            factors: (R,) factor of each recipe.
            together: The exponent nu of a sync.
        """
        contributed = factors[self.update_recipe] * np.exp(self.logs @ exponents)
        added = np.bincount(self.update_sync, contributed, minlength=len(self.run_of_sync)) ** together
        total = np.cumsum(added)
        starts = np.searchsorted(self.run_of_sync, np.arange(self.run_of_sync.max(initial=-1) + 1))
        mass: Floats = total - (total - added)[starts][self.run_of_sync]
        return mass

    def tested(self, values: Floats) -> Floats:
        """Return the mean over the models that each test tested, (k,), of a value of each sync, (s,)."""
        return tail_means(values, self.begin, self.end)


def tail_means(values: Floats, begin: Ints, end: Ints) -> Floats:
    """Return the mean of ``values[begin:end]`` for each pair, 0 where there is none."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means: Floats = (sums[end] - sums[begin]) / np.maximum(end - begin, 1)
    return means
