"""The errors a person can meet. Each says what was wrong, where, and what to do about it."""

from __future__ import annotations

__all__ = ["ConfigError", "FleetLoraError", "InputError", "MissingDependencyError", "first_line"]


class FleetLoraError(Exception):
    """Base of every error fleetlora raises on purpose.

    Args:
        problem: What was wrong, one sentence without a final full stop.
        where: The file, ``file:line``, or config key it concerns.
        mend: What the reader can do about it.
    """

    #: Exit status of the command line when this error ends it.
    exit_code = 1

    def __init__(self, problem: str, *, where: str | None = None, mend: str | None = None) -> None:
        self.problem, self.where, self.mend = problem, where, mend
        place = f"{where}: " if where else ""
        remedy = f"\n  → {mend}" if mend else ""
        super().__init__(f"{place}{problem}{remedy}")

    def __reduce__(self) -> tuple[object, ...]:  # keyword arguments survive process boundaries
        return (_rebuild, (type(self), self.problem, self.where, self.mend))


def _rebuild(kind: type[FleetLoraError], problem: str, where: str | None, mend: str | None) -> FleetLoraError:
    return kind(problem, where=where, mend=mend)


class InputError(FleetLoraError):
    """The user's file, option or data is at fault."""

    exit_code = 2


class ConfigError(InputError):
    """A configuration key or value is at fault."""


class MissingDependencyError(InputError):
    """An optional dependency is needed and not installed."""


def first_line(error: BaseException) -> str:
    """Return the first line of what an error of a library says, or its kind if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
