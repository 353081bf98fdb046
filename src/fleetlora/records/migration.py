"""Run directories of older layouts, read as today's.

Every layout that differs from the one before has a :class:`Step` here, from the older number to the next.
They are applied one after the other while a file is read; nothing that lies on the disk is ever changed.
Columns and fields that are only added, and may be missing, need no new number and no step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetlora.documents import refuse_newer
from fleetlora.errors import InputError
from fleetlora.records.schemas import SCHEMA

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["STEPS", "Step", "check_layout", "migrated_result", "migrated_table"]


def _same_result(result: dict[str, Any]) -> dict[str, Any]:
    return result


def _same_table(_name: str, table: pa.Table) -> pa.Table:
    return table


@dataclass(frozen=True)
class Step:
    """How files of one layout become files of the next; what is not given stays as it is.

    Attributes:
        result: Takes the contents of ``result.json`` and returns them in the next layout.
        table: Takes a table's name and its rows and returns the rows in the next layout.
    """

    result: Callable[[dict[str, Any]], dict[str, Any]] = _same_result
    table: Callable[[str, pa.Table], pa.Table] = _same_table


#: The step away from each older layout, by its number.
STEPS: dict[int, Step] = {}


def check_layout(number: Any, path: Path) -> int:
    """Return the layout's number that a file states, if this version can read it.

    Raises:
        InputError: It states none, or one that is newer than this version, or that no steps lead away from.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise InputError("says no layout number; is it a run's?", where=str(path), mend="run again")
    refuse_newer(number, SCHEMA, path)
    if not all(layout in STEPS for layout in range(number, SCHEMA)):
        raise InputError(
            f"of layout {number}, which this fleetlora reads no more",
            where=str(path),
            mend="open it with the version that wrote it, or run again",
        )
    return number


def migrated_result(number: int, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of a ``result.json`` of layout ``number`` in today's layout."""
    today = dict(result)
    for layout in range(number, SCHEMA):
        today = STEPS[layout].result(today)
    return {**today, "schema": SCHEMA}


def migrated_table(number: int, name: str, table: pa.Table) -> pa.Table:
    """Return the rows of a table of layout ``number`` in today's layout, what it notes beside them kept."""
    notes = dict(table.schema.metadata or {})
    for layout in range(number, SCHEMA):
        table = STEPS[layout].table(name, table)
    return table.replace_schema_metadata({**notes, b"fleetlora.schema": str(SCHEMA).encode()})
