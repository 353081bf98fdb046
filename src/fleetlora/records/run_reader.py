"""Reading a run directory back, finished or not."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetlora.errors import FleetLoraError, InputError
from fleetlora.records.files import CONFIG, LOG, MAP, RESULT, run_files, table_file
from fleetlora.records.result import RunIdentity, build_result
from fleetlora.records.schemas import OPTIONAL_TABLES, SCHEMA, TABLES, arrow_schema, arrow_table

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from fleetlora.records.map_data import MapData

__all__ = ["Run", "open_run"]


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
    def log(self) -> str:
        """Text of ``log.txt``, empty when there is none."""
        path = self.path / LOG
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
        """Return the folder of a task's trained adapter.

        Raises:
            InputError: The run saved none for this task.
        """
        path = self.path / "adapters" / task
        if not (path / "adapter_model.safetensors").exists():
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
    identity = _identity(tables["rounds"], result)
    if result is None:
        result = build_result(identity, tables, status="interrupted")
    return Run(directory, config_toml, config, tables, identity, result)


def _missing(path: Path) -> InputError:
    return InputError(
        f"the run has no {path.name}", where=str(path.parent), mend="restore the file, or run again"
    )


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"damaged: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
        where=str(path),
        mend="restore the file, or run again",
    )


def _check_schema(path: Path, number: Any) -> None:
    if isinstance(number, int) and number > SCHEMA:
        raise InputError(
            f"written by a newer fleetlora (layout {number}, this one reads up to {SCHEMA})",
            where=str(path),
            mend="pip install --upgrade fleetlora",
        )
    if not isinstance(number, int) or number < 1:
        raise InputError("says no layout number; is it a run's?", where=str(path), mend="run again")


def _read_table(path: Path, table: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise _missing(path)
    try:
        read = pq.read_table(path, memory_map=False, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    number = (read.schema.metadata or {}).get(b"fleetlora.schema", b"").decode()
    _check_schema(path, int(number) if number.isdigit() else None)
    try:
        return arrow_table(table, read).replace_schema_metadata(read.schema.metadata)
    except FleetLoraError as error:
        raise _damaged(path, error) from error


def _read_config(path: Path) -> tuple[str, dict[str, Any]]:
    if not path.exists():
        raise _missing(path)
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _damaged(path, error) from error


def _read_result(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _damaged(path, error) from error
    if not isinstance(result, dict):
        raise _damaged(path, ValueError("not a JSON object"))
    _check_schema(path, result.get("schema"))
    missing = {"status", "tasks", "latency_s", "energy_j", "updates"} - set(result)
    if missing:
        raise _damaged(path, ValueError(f"without {', '.join(sorted(missing))}"))
    return result


def _identity(rounds: pa.Table, result: Mapping[str, Any] | None) -> RunIdentity:
    said = (rounds.schema.metadata or {}).get(b"fleetlora.identity")
    known: Mapping[str, Any] = result if result is not None else json.loads(said) if said else {}
    return RunIdentity(
        method=str(known.get("method", "unknown")),
        preset=str(known.get("preset", "unknown")),
        seed=int(known.get("seed", 0)),
        vehicles=int(known.get("vehicles", 0)),
        rsus=int(known.get("rsus", 0)),
    )
