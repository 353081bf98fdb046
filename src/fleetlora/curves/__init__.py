"""Learning curves: fitted to recorded runs, they stand in for training where a city is too large to train."""

from fleetlora.curves.document import Curves, fit_curves, read_curves
from fleetlora.curves.recipe import base_of, first_difference, recipe_of
from fleetlora.curves.shape import (
    Contribution,
    Costs,
    GainLine,
    Growth,
    Recipe,
    TaskCurve,
    Work,
)

__all__ = [
    "Contribution",
    "Costs",
    "Curves",
    "GainLine",
    "Growth",
    "Recipe",
    "TaskCurve",
    "Work",
    "base_of",
    "first_difference",
    "fit_curves",
    "read_curves",
    "recipe_of",
]
