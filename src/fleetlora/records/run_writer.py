"""Writing a run directory while the run goes on, so that whatever is done can be read at any time."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetlora.errors import FleetLoraError, InputError
from fleetlora.files import force, refusing, replacing, write_text
from fleetlora.records.files import CONFIG, LOG, MAP, RESULT, run_files, table_file
from fleetlora.records.result import RunIdentity
from fleetlora.records.schemas import TABLES, arrow_schema, arrow_table

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa

    from fleetlora.records.ledger import Ledger
    from fleetlora.records.run_reader import Run

__all__ = ["RunWriter", "check_run_directory"]


class RunWriter:
    """Writes one run directory.

    Rows are kept in memory and written by :meth:`flush`, each table whole and in one step, so a run that
    is stopped leaves what the last flush wrote. All but the log is forced to the disk at once: no checkpoint
    may come before its rows, none may go before the result, and no table may be replaced by one that a power
    cut would lose. As a context manager it also flushes at the end, and
    when an exception, Ctrl-C included, ends the block.

    Args:
        directory: Where to write; made when it is not there.
        config_toml: The experiment's whole configuration, as TOML text.
        identity: What the run is; kept with the tables for the case that it never finishes.
        overwrite: Replace a run that is already there. Only files of a run are removed.
        optional: Names of the optional tables that the run has.

    Raises:
        InputError: The directory holds a run and ``overwrite`` is not set, or holds files of the same
            names that are no run's, or cannot be written.
    """

    def __init__(
        self,
        directory: str | Path,
        config_toml: str,
        identity: RunIdentity | None = None,
        overwrite: bool = False,
        optional: Iterable[str] = (),
    ) -> None:
        self._hold(Path(directory), identity, {}, (*TABLES, *optional))
        try:
            self._begin(config_toml, overwrite)
        except OSError as error:
            raise InputError(
                f"cannot write a run here: {error.strerror or error}",
                where=str(self._directory),
                mend="choose another directory with --out",
            ) from error

    @classmethod
    def resume(cls, run: Run, rounds: int) -> RunWriter:
        """Return a writer that goes on in the directory of a run that was interrupted.

        Args:
            run: The run as it was left.
            rounds: Rounds whose rows are kept; later ones, and what is written when a run ends, are dropped.

        Raises:
            InputError: Rounds are missing from the tables.
        """
        kept = {table: _before(run.tables[table], rounds) for table in run.tables if table != "contacts"}
        there = len(kept["rounds"]["round"].unique())
        if there != rounds:
            raise InputError(
                f"its tables hold {there} of the {rounds} rounds that were over",
                where=str(run.path),
                mend="run again from the start",
            )
        writer = cls.__new__(cls)  # the directory is there: nothing is to be begun
        writer._hold(run.path, run.identity, kept, run.tables)
        for stale in [run.path / RESULT, *run.path.glob(".*.part")]:
            stale.unlink(missing_ok=True)
        writer.flush()
        return writer

    def _hold(
        self,
        directory: Path,
        identity: RunIdentity | None,
        rows: Mapping[str, pa.Table],
        tables: Iterable[str],
    ) -> None:
        """Begin the tables with the rows that are there already, by table."""
        self._directory, self._identity = directory, identity
        self._tables = {table: [rows[table]] if table in rows else [] for table in tables}
        self._unwritten = set(self._tables)
        self._ledger_rows = rows["ledger"].num_rows if "ledger" in rows else 0

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self._directory

    @property
    def map_path(self) -> Path:
        """Where the data of the map goes, its folder made."""
        path = self._directory / MAP
        path.parent.mkdir(exist_ok=True)
        return path

    def adapter_dir(self, task: str) -> Path:
        """Return the folder of a task's trained adapter, made when it is not there.

        Raises:
            InputError: The task's name cannot be a folder's name.
        """
        if not task or task in (".", "..") or set(task) & set('/\\:*?"<>|\0'):
            raise InputError(f"task {task!r} cannot name a folder", mend="use letters, digits, - and _")
        path = self._directory / "adapters" / task
        path.mkdir(parents=True, exist_ok=True)
        return path

    def append(self, table: str, columns: Mapping[str, Any] | pa.Table) -> None:
        """Add rows to a table; see :func:`~fleetlora.records.schemas.arrow_table` for what columns may be.

        Raises:
            FleetLoraError: The columns are not the table's.
        """
        rows = arrow_table(table, columns)
        if rows.num_rows:
            self._tables.setdefault(table, []).append(rows)
            self._unwritten.add(table)

    def append_ledger(self, ledger: Ledger) -> None:
        """Add the rows ``ledger`` has gained since the last call."""
        self.append("ledger", ledger.to_arrow(self._ledger_rows))
        self._ledger_rows = len(ledger)

    def tables(self) -> dict[str, pa.Table]:
        """Return all rows so far, by table."""
        return {table: self._whole(table) for table in self._tables}

    def log(self, line: str) -> None:
        """Append a line to ``log.txt``."""
        path = self._directory / LOG
        with self._refusing(path), path.open("a", encoding="utf-8") as file:
            file.write(line.rstrip("\n") + "\n")

    def flush(self) -> None:
        """Write every table that has new rows, and wait until the disk has them.

        Raises:
            InputError: The disk is full or cannot be written; what was there before stays.
        """
        with self._refusing(self._directory):
            self._write_tables(self._directory)

    def finish(self, result: Mapping[str, Any]) -> Path:
        """Write the tables and then ``result.json``; return the latter's path.

        Raises:
            FleetLoraError: ``result`` is not what :func:`build_result` returns.
        """
        if not {"schema", "status", "digest"} <= set(result):
            raise FleetLoraError("a result needs schema, status and digest", where=RESULT)
        self.flush()
        path = self._directory / RESULT
        text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
        with self._refusing(path):
            write_text(path, text + "\n", durable=True)
        return path

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.flush()
            return
        with suppress(InputError):  # what ended the block says more than that the disk is still full
            self.flush()

    def _refusing(self, path: Path) -> AbstractContextManager[None]:
        return refusing(path, f"make room, then go on with `fleetlora run --resume {self._directory}`")

    def _begin(self, config_toml: str, overwrite: bool) -> None:
        there = check_run_directory(self._directory, overwrite)
        _remove(self._directory, there)
        if self._directory.is_dir() and any(self._directory.iterdir()):
            self._first_files(self._directory, config_toml)
            return
        parent = self._directory.absolute().parent
        parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=parent, prefix=f".{self._directory.name}."))
        try:
            made.chmod(0o755)
            self._first_files(made, config_toml)
            if self._directory.is_dir():
                self._directory.rmdir()
            os.rename(made, self._directory)
            force(parent)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _first_files(self, directory: Path, config_toml: str) -> None:
        write_text(directory / CONFIG, config_toml, durable=True)
        write_text(directory / LOG, "")
        self._write_tables(directory)

    def _write_tables(self, directory: Path) -> None:
        import pyarrow.parquet as pq

        for table in sorted(self._unwritten):
            with replacing(directory / table_file(table), durable=True) as part:
                pq.write_table(self._whole(table), part, compression="zstd", write_page_checksum=True)
        self._unwritten.clear()

    def _whole(self, table: str) -> pa.Table:
        import pyarrow as pa

        chunks = self._tables[table]
        whole = (
            pa.concat_tables(chunks).unify_dictionaries().combine_chunks()
            if chunks
            else arrow_schema(table).empty_table()
        )
        if len(chunks) > 1:
            self._tables[table] = [whole]
        metadata = dict(arrow_schema(table).metadata)
        if self._identity is not None:
            metadata[b"fleetlora.identity"] = json.dumps(asdict(self._identity)).encode()
        return whole.replace_schema_metadata(metadata)


def _before(table: pa.Table, rounds: int) -> pa.Table:
    """Return the rows of the first ``rounds`` rounds."""
    import pyarrow.compute as pc

    return table.filter(pc.less(table["round"], rounds))


def check_run_directory(directory: str | Path, overwrite: bool = False) -> list[Path]:
    """Return the files of a run that writing one to ``directory`` would replace.

    Call it before long work, so that a run does not fail at its end for want of a place.

    Raises:
        InputError: The directory holds a run and ``overwrite`` is not set, or holds files of the same
            names that are no run's.
    """
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise InputError("is a file", where=str(directory), mend="choose a directory")
    there = run_files(directory)
    if there and not _is_run(directory):
        raise InputError(
            f"holds {there[0].relative_to(directory)}, which a run would overwrite",
            where=str(directory),
            mend="choose another directory, or move that file away",
        )
    if there and not overwrite:
        raise InputError(
            "already holds a run",
            where=str(directory),
            mend="choose another directory, or overwrite it with --overwrite",
        )
    return there


def _is_run(directory: Path) -> bool:
    """Tell whether ``directory`` holds a run, by the table every run has from its first moment."""
    return (directory / table_file("rounds")).exists() or (directory / RESULT).exists()


def _remove(directory: Path, files: list[Path]) -> None:
    for path in files:
        path.unlink()
    for path in sorted({path.parent for path in files}, key=lambda p: len(p.parts), reverse=True):
        if path != directory and not any(path.iterdir()):
            path.rmdir()
    adapters = directory / "adapters"
    if adapters.is_dir() and not any(adapters.iterdir()):
        adapters.rmdir()
