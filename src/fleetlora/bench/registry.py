"""What a benchmark is, and where they are found by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from fleetlora.console import Progress
from fleetlora.registry import Registry

__all__ = ["BENCHES", "Bench"]


class Bench(Protocol):
    """A benchmark: settings that say what is measured, and the measuring."""

    def measure(self, progress: Progress) -> dict[str, Any]:
        """Return what was measured, as JSON can hold it."""
        ...

    def lines(self, measured: Mapping[str, Any]) -> Iterator[str]:
        """Yield what a person reads of it."""
        ...


#: Benchmarks by the name that ``fleetlora bench`` takes.
BENCHES: Registry[type[Bench]] = Registry(
    "bench",
    tuple(
        f"fleetlora.bench.{name}"
        for name in ("aggregate", "contacts", "crash", "faults", "poison", "policy", "scale", "train")
    ),
)
