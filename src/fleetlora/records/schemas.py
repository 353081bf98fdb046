"""The tables of a run, column by column: the one place that says what they hold.

The description is plain data, so that reading it costs no import; :func:`arrow_schema` turns it into
Arrow when a table is really made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fleetlora.errors import FleetLoraError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ALL_TABLES",
    "ARRIVED",
    "OPTIONAL_TABLES",
    "OUTCOMES",
    "PHASES",
    "SCHEMA",
    "TABLES",
    "Column",
    "arrow_schema",
    "arrow_table",
]

#: Number of the layout of tables and ``result.json``; it grows when an old reader would misread a new run.
SCHEMA = 1

#: How a started update ended. The first three reached the model, the last two did not: ``abandoned`` where
#: its vehicle left its RSU before its limit, under a departure rule that then gives up; ``lost`` where it was
#: cut off otherwise.
OUTCOMES = ("delivered", "early", "handed_off", "abandoned", "lost")

#: The outcomes that reached the model: in full, with fewer steps, or through the next RSU.
ARRIVED = ("delivered", "early", "handed_off")

#: What joules were spent on. ``rsu`` is an RSU's own work and counts against no task's budget.
PHASES = ("download", "compute", "upload", "idle", "rsu")

Kind = Literal["i8", "i32", "i64", "f64", "bool", "str"]


@dataclass(frozen=True)
class Column:
    """One column of a table; ``nullable`` ones hold null where there is nothing to say."""

    name: str
    kind: Kind
    meaning: str
    nullable: bool = False


ROUNDS = (
    Column("round", "i32", "number of the round, from 0"),
    Column("task", "str", "task"),
    Column("t_start_s", "f64", "virtual time at which the round began"),
    Column("t_end_s", "f64", "virtual time at which the round's model stood"),
    Column("latency_s", "f64", "t_end_s - t_start_s: until its last update ended, plus the cloud's merge"),
    Column("download_s", "f64", "mean download over updates that reached the model", nullable=True),
    Column("compute_s", "f64", "mean training over updates that reached the model", nullable=True),
    Column("upload_s", "f64", "mean upload over updates that reached the model", nullable=True),
    Column("admitted", "i32", "vehicles the RSUs admitted"),
    Column("skipped", "i32", "admitted vehicles that chose not to take part"),
    Column("started", "i32", "updates begun"),
    Column("delivered", "i32", "updates delivered in full to their own RSU"),
    Column("early", "i32", "updates delivered early, with fewer steps"),
    Column("handed_off", "i32", "updates delivered through the next RSU"),
    Column("abandoned", "i32", "updates given up where the vehicle left its RSU, by its departure rule"),
    Column("lost", "i32", "updates cut off by their limit, or by the end of contact where none is given up"),
    Column("mean_rank", "f64", "mean rank of the started updates", nullable=True),
    Column("energy_j", "f64", "vehicles' joules in this round"),
    Column("energy_rsu_j", "f64", "RSUs' joules in this round"),
    Column("spent_j", "f64", "vehicles' joules of the task so far"),
    Column("budget_j", "f64", "joules the task may spend; infinite when there is no budget"),
    Column("price", "f64", "lambda, the price of energy"),
    Column("synced", "bool", "the cloud merged the RSUs in this round"),
    Column("accuracy", "f64", "aggregated model on the test set", nullable=True),
    Column("loss", "f64", "aggregated model on the test set", nullable=True),
    Column("accuracy_local", "f64", "vehicles' own models on their held-out samples, mean", nullable=True),
)

UPDATES = (
    Column("round", "i32", "number of the round"),
    Column("task", "str", "task"),
    Column("rsu", "i32", "RSU that admitted the vehicle"),
    Column("vehicle", "i32", "vehicle"),
    Column("device", "str", "device class"),
    Column("rank", "i32", "LoRA rank it trains: lower than the one it chose where HetLoRA had pruned it"),
    Column("steps", "i32", "local steps it did"),
    Column("samples", "i32", "training samples it holds: its weight"),
    Column("t_start_s", "f64", "virtual time at which the download began"),
    Column("t_end_s", "f64", "virtual time at which it was delivered or ended"),
    Column("download_s", "f64", "seconds of download"),
    Column("compute_s", "f64", "seconds of training"),
    Column("upload_s", "f64", "seconds of upload"),
    Column("bytes_down", "i64", "bytes received"),
    Column("bytes_up", "i64", "bytes sent"),
    Column("joules", "f64", "vehicle's joules, all phases"),
    Column("outcome", "str", "how it ended"),
    Column("rsu_to", "i32", "RSU it was delivered through, when another", nullable=True),
    Column("reward", "f64", "reward the vehicle computed, in [0, 1]", nullable=True),
    Column("loss_before", "f64", "held-out loss of the model it received", nullable=True),
    Column("loss_after", "f64", "held-out loss after training", nullable=True),
    Column("accuracy_local", "f64", "held-out accuracy after training", nullable=True),
    Column("residence_predicted_s", "f64", "what the vehicle thought it had left in coverage"),
    Column("residence_true_s", "f64", "what it really had"),
)

CONTACTS = (
    Column("vehicle", "i32", "vehicle"),
    Column("rsu", "i32", "RSU that served it"),
    Column("t_in_s", "f64", "virtual time at which the contact began"),
    Column("t_out_s", "f64", "virtual time at which it ended"),
    Column("handoff", "bool", "it began as a handoff from the contact before"),
    Column("end", "i8", "0 left coverage, 1 handed off, 2 the track ended"),
)

LEDGER = (
    Column("round", "i32", "number of the round"),
    Column("t_s", "f64", "virtual time of the charge"),
    Column("vehicle", "i32", "vehicle, or -1 for an RSU's own joules"),
    Column("rsu", "i32", "RSU it worked for"),
    Column("task", "str", "task"),
    Column("phase", "str", "what the joules were spent on"),
    Column("outcome", "str", "how the update ended, 'none' where there was no update"),
    Column("joules", "f64", "joules"),
)

FAULTS = (
    Column("round", "i32", "number of the round"),
    Column("kind", "str", "what went wrong"),
    Column("begin_s", "f64", "virtual time at which it began"),
    Column("end_s", "f64", "virtual time at which it was over"),
    Column("rsu", "i32", "RSU it concerns, when one", nullable=True),
    Column("vehicle", "i32", "vehicle it concerns, when one", nullable=True),
    Column("task", "str", "task of the update it concerns, when one", nullable=True),
    Column("value", "f64", "how bad it was, in the kind's own unit: see docs/reliability.md", nullable=True),
)

QUARANTINE = (
    Column("round", "i32", "number of the round"),
    Column("task", "str", "task"),
    Column("rsu", "i32", "RSU that refused it"),
    Column("vehicle", "i32", "vehicle that sent it"),
    Column("reason", "str", "why it was refused: see docs/reliability.md"),
    Column("value", "f64", "what was wrong, where it is a number: a norm, a round, a rank", nullable=True),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "rounds": ROUNDS,
    "updates": UPDATES,
    "contacts": CONTACTS,
    "ledger": LEDGER,
}

#: Tables that a run has only if what they tell of was switched on, or came.
OPTIONAL_TABLES: dict[str, tuple[Column, ...]] = {"faults": FAULTS, "quarantine": QUARANTINE}

#: Every table that a run may have.
ALL_TABLES = {**TABLES, **OPTIONAL_TABLES}


def arrow_schema(table: str) -> pa.Schema:
    """Return the Arrow schema of ``table``, its number in the metadata."""
    import pyarrow as pa

    types = {
        "i8": pa.int8(),
        "i32": pa.int32(),
        "i64": pa.int64(),
        "f64": pa.float64(),
        "bool": pa.bool_(),
        "str": pa.dictionary(pa.int32(), pa.string()),
    }
    fields = [
        pa.field(c.name, types[c.kind], nullable=c.nullable, metadata={"meaning": c.meaning})
        for c in ALL_TABLES[table]
    ]
    return pa.schema(fields, metadata={"fleetlora.schema": str(SCHEMA), "fleetlora.table": table})


def arrow_table(table: str, columns: Mapping[str, Any] | pa.Table) -> pa.Table:
    """Return rows of ``table`` as Arrow, checked against its schema.

    Args:
        table: Name in :data:`TABLES` or :data:`OPTIONAL_TABLES`.
        columns: Every column by name: an array (n,), or one value for all rows. NaN in a nullable
            float column means null, and so does a negative number in a nullable integer column.
            An Arrow table with these columns also serves.

    Raises:
        FleetLoraError: A column is missing, unknown, of another length or kind, or has NaN or null
            where there must be a value.
    """
    import pyarrow as pa

    if isinstance(columns, pa.Table):
        columns = {name: columns.column(name).combine_chunks() for name in columns.column_names}
    schema = arrow_schema(table)
    _check_names(table, columns)
    n_rows = _n_rows(table, columns)
    arrays = []
    for column, field in zip(ALL_TABLES[table], schema, strict=True):
        try:
            array = _arrow_array(column, field.type, columns[column.name], n_rows)
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise FleetLoraError(
                f"cannot hold these values: {error}", where=f"{table}.{column.name}"
            ) from error
        if array.null_count and not column.nullable:
            raise FleetLoraError("a value is missing (NaN or null)", where=f"{table}.{column.name}")
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=schema)


def _check_names(table: str, columns: Mapping[str, Any]) -> None:
    known = {column.name for column in ALL_TABLES[table]}
    missing, unknown = sorted(known - set(columns)), sorted(set(columns) - known)
    if missing or unknown:
        said = f"columns missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
        raise FleetLoraError(said, where=table)


def _n_rows(table: str, columns: Mapping[str, Any]) -> int:
    lengths = {
        name: len(values)
        for name, values in columns.items()
        if hasattr(values, "__len__") and not isinstance(values, str) and np.ndim(values) > 0
    }
    if len(set(lengths.values())) > 1:
        raise FleetLoraError(f"columns of different lengths: {lengths}", where=table)
    return next(iter(lengths.values()), 1)


def _arrow_array(column: Column, arrow_type: Any, values: Any, n_rows: int) -> Any:
    import pyarrow as pa

    if isinstance(values, pa.Array):
        return values if values.type == arrow_type else values.cast(arrow_type)
    if column.kind == "str":
        if isinstance(values, str):
            codes = pa.array(np.zeros(n_rows, np.int32))
            return pa.DictionaryArray.from_arrays(codes, pa.array([values][: max(n_rows, 1)]))
        return pa.array(values, pa.string()).dictionary_encode()
    if np.ndim(values) == 0:
        values = np.full(n_rows, np.nan if values is None else values)
    if isinstance(values, np.ndarray):
        return pa.array(values, arrow_type, mask=_nulls(column, values))
    return pa.array(values, arrow_type, from_pandas=True)


def _nulls(column: Column, values: np.ndarray) -> np.ndarray | None:
    """Return where ``values`` says nothing: NaN, and in nullable integers also a negative number."""
    if values.dtype.kind == "f":
        nulls: np.ndarray = np.isnan(values)
        return nulls | (values < 0) if column.nullable and column.kind.startswith("i") else nulls
    if column.nullable and column.kind.startswith("i") and values.dtype.kind == "i":
        negative: np.ndarray = values < 0
        return negative
    return None
