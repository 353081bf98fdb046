"""The contract of a trace source, and the registry that finds one by name."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from fleetlora.registry import Registry
from fleetlora.traces.fixes import RawFixes

__all__ = ["TRACE_SOURCES", "TraceSource"]


@runtime_checkable
class TraceSource(Protocol):
    """Reads the positions of vehicles from somewhere.

    An implementation is a :class:`fleetlora.settings.Settings` whose fields say where and how to read; it
    reads only in :meth:`read`. It hands over what the file holds, in any order and uncleaned, and refuses
    what it cannot understand.
    """

    def read(self) -> RawFixes:
        """Return all fixes.

        Raises:
            InputError: A file is missing, damaged or not understood; the message names file and line.
        """
        ...


TRACE_SOURCES: Registry[type[TraceSource]] = Registry("trace source")
