"""Reading a run directory back, finished or not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetlora.documents import check_shape, parse_json, read_json, read_toml
from fleetlora.errors import FleetLoraError, InputError, first_line
from fleetlora.limits import DOCUMENT_BYTES, check_size
from fleetlora.parquet import read_parquet
from fleetlora.records.files import (
    CONFIG,
    LOG,
    MAP,
    RESULT,
    TASK_NAME,
    TASK_NAME_CHARACTERS,
    run_files,
    table_file,
)
from fleetlora.records.migration import check_layout, migrated_result, migrated_table
from fleetlora.records.result import RunIdentity, build_result
from fleetlora.records.schemas import ALL_TABLES, OPTIONAL_TABLES, TABLES, arrow_schema, arrow_table
from fleetlora.records.shapes import IdentityShape, ResultShape

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from fleetlora.records.map_data import MapData

__all__ = ["Run", "open_run"]

_MEND = "restore the file, or run again"

#: No seconds, joules or losses of a run are as large.
_IMMENSE = 1e150

#: Columns in which a number may be infinite: no budget, and a vehicle that stays.
_ENDLESS = ("budget_j", "residence_predicted_s", "residence_true_s")


@dataclass(frozen=True)
class Run:
    """A run as read from its directory.

    Attributes:
        path: The directory.
        config_toml: Text of ``config.toml``.
        config: The same, parsed.
        tables: The four tables by name, and those of the optional ones that are there, as Arrow.
        identity: What the run is, as far as the directory says.
        result: Contents of ``result.json``; for a run stopped before it was written, the same put together
            from the tables, with the status ``interrupted``.
    """

    path: Path
    config_toml: str
    config: Mapping[str, Any]
    tables: Mapping[str, pa.Table]
    identity: RunIdentity
    result: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """Whether the run reached its end."""
        return bool(self.result["status"] == "complete")

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(self.result["tasks"])

    @cached_property
    def rounds(self) -> pl.DataFrame:
        """One row per round and task."""
        return self._frame("rounds")

    @cached_property
    def updates(self) -> pl.DataFrame:
        """One row per started update."""
        return self._frame("updates")

    @cached_property
    def contacts(self) -> pl.DataFrame:
        """One row per contact of a vehicle with an RSU."""
        return self._frame("contacts")

    @cached_property
    def ledger(self) -> pl.DataFrame:
        """One row per charge of joules."""
        return self._frame("ledger")

    @cached_property
    def faults(self) -> pl.DataFrame:
        """One row per fault of the world; none where faults were off."""
        return self._frame("faults")

    @cached_property
    def quarantine(self) -> pl.DataFrame:
        """One row per update or report that an RSU refused."""
        return self._frame("quarantine")

    @cached_property
    def log(self) -> str:
        """Text of ``log.txt``, empty when there is none."""
        path = self.path / LOG
        check_size(path, DOCUMENT_BYTES)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def map(self) -> MapData | None:
        """Return the data of the map, ``None`` when the run has none.

        Raises:
            InputError: The file is damaged or of a newer layout.
        """
        from fleetlora.records.map_data import read_map

        path = self.path / MAP
        return read_map(path) if path.exists() else None

    def adapter_dir(self, task: str) -> Path:
        """Return the folder of a task's trained adapter, or of the head where that alone was trained.

        Raises:
            InputError: The run saved none for this task.
        """
        if not re.fullmatch(TASK_NAME, task) or len(task) > TASK_NAME_CHARACTERS:
            # no configuration takes it, and it may lead elsewhere
            raise _damaged(self.path, ValueError(f"{task[:100]!r} is no name of a task"))
        path = self.path / "adapters" / task
        if not any((path / name).exists() for name in ("adapter_model.safetensors", "head.safetensors")):
            raise InputError(
                f"no trained adapter for task {task!r}",
                where=str(self.path),
                mend=f"its tasks are {', '.join(self.tasks)}; adapters are saved when a run ends",
            )
        return path

    def _frame(self, table: str) -> pl.DataFrame:
        import polars as pl

        there = self.tables.get(table)
        frame = pl.from_arrow(arrow_schema(table).empty_table() if there is None else there)
        assert isinstance(frame, pl.DataFrame)
        return frame


def open_run(path: str | Path) -> Run:
    """Read the run in directory ``path``.

    Raises:
        InputError: It is no run directory, a file is missing or damaged, or a newer fleetlora wrote it.
    """
    directory = Path(path)
    if not directory.is_dir() or not run_files(directory):
        raise InputError(
            "is not a run directory" if directory.exists() else "does not exist",
            where=str(directory),
            mend="give the directory that `fleetlora run --out` wrote",
        )
    there = [table for table in OPTIONAL_TABLES if (directory / table_file(table)).exists()]
    tables = {table: _read_table(directory / table_file(table), table) for table in (*TABLES, *there)}
    config_toml, config = _read_config(directory / CONFIG)
    result = _read_result(directory / RESULT)
    identity = _identity(tables["rounds"], result, directory / table_file("rounds"))
    if result is None:
        result = build_result(identity, tables, status="interrupted")
    return Run(directory, config_toml, config, tables, identity, result)


def _missing(path: Path) -> InputError:
    return InputError(f"the run has no {path.name}", where=str(path.parent), mend=_MEND)


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"damaged: {first_line(error)}",
        where=str(path),
        mend=_MEND,
    )


def _read_table(path: Path, table: str) -> pa.Table:
    if not path.exists():
        raise _missing(path)
    read = read_parquet(path, _MEND)
    number = (read.schema.metadata or {}).get(b"fleetlora.schema", b"")
    layout = check_layout(int(number) if number.isdigit() and len(number) < 10 else None, path)
    try:
        today = migrated_table(layout, table, read)
        checked = arrow_table(table, today).replace_schema_metadata(today.schema.metadata)
    except FleetLoraError as error:
        raise _damaged(path, error) from error
    _check_values(path, table, checked)
    return checked


def _check_values(path: Path, table: str, rows: pa.Table) -> None:
    """Refuse numbers that no run writes and sums would fail on: not finite, immense, or negative counts."""
    for column in ALL_TABLES[table]:
        values = rows[column.name].to_numpy() if column.kind in ("f64", "i32", "i64") else np.zeros(0)
        if column.kind == "f64":
            bad = (np.abs(values) > _IMMENSE) & ~((values == np.inf) & (column.name in _ENDLESS))
        else:
            bad = values < (-1 if column.name == "vehicle" else 0)
        if bad.any():
            raise _damaged(path, ValueError(f"{table}.{column.name}: {values[bad][0]} in row {bad.argmax()}"))


def _read_config(path: Path) -> tuple[str, dict[str, Any]]:
    if not path.exists():
        raise _missing(path)
    try:
        return read_toml(path, _MEND)
    except InputError as error:
        raise _damaged(path, ValueError(error.problem)) from error


def _read_result(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        result = read_json(path, _MEND)
    except InputError as error:
        raise _damaged(path, ValueError(error.problem)) from error
    if not isinstance(result, dict):
        raise _damaged(path, ValueError("not a JSON object"))
    result = migrated_result(check_layout(result.get("schema"), path), result)
    check_shape(ResultShape, result, path, _MEND)
    return result


def _identity(rounds: pa.Table, result: Mapping[str, Any] | None, path: Path) -> RunIdentity:
    """Return what the run says it is: its result, else the notes of its first table."""
    said = (rounds.schema.metadata or {}).get(b"fleetlora.identity")
    known: Any = result or {}
    if result is None and said:
        known = parse_json(said.decode("utf-8", "replace"), f"{path}: notes", _MEND)
    check_shape(IdentityShape, known, path, _MEND)
    return RunIdentity(
        method=known.get("method", "unknown"),
        preset=known.get("preset", "unknown"),
        seed=known.get("seed", 0),
        vehicles=known.get("vehicles", 0),
        rsus=known.get("rsus", 0),
    )
