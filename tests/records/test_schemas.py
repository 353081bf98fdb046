from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from fleetlora.errors import FleetLoraError
from fleetlora.records import OPTIONAL_TABLES, SCHEMA, TABLES, arrow_schema, arrow_table
from tests.records.rows import contact_rows, ledger_rows, round_rows, update_rows

ROWS = {"rounds": round_rows, "updates": update_rows, "contacts": contact_rows, "ledger": ledger_rows}


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_table_takes_its_rows_and_carries_its_number(table: str) -> None:
    rows = arrow_table(table, ROWS[table]())
    assert rows.schema.equals(arrow_schema(table))
    assert rows.schema.metadata[b"fleetlora.schema"] == str(SCHEMA).encode()
    rows.validate(full=True)


@pytest.mark.parametrize("table", [*sorted(TABLES), *sorted(OPTIONAL_TABLES)])
def test_every_column_says_what_it_means(table: str) -> None:
    columns = {**TABLES, **OPTIONAL_TABLES}[table]
    assert all(column.meaning for column in columns)
    names = [column.name for column in columns]
    assert len(set(names)) == len(names)


def test_one_value_fills_a_column() -> None:
    rows = arrow_table("updates", update_rows())
    assert rows["task"].to_pylist() == ["a"] * 5
    assert rows["bytes_down"].to_pylist() == [10_000_000_000] * 5


def test_nan_becomes_null_where_null_may_be() -> None:
    rows = arrow_table("rounds", round_rows())
    assert rows["accuracy"].to_pylist() == [0.5, 0.6, 0.7, None]
    assert arrow_table("updates", update_rows())["loss_after"].null_count == 5


def test_a_negative_index_becomes_null_where_null_may_be() -> None:
    assert arrow_table("updates", update_rows())["rsu_to"].to_pylist() == [None, None, 2, None, None]
    assert arrow_table("updates", update_rows(rsu_to=None))["rsu_to"].null_count == 5


def test_a_lone_row_may_be_all_single_values() -> None:
    row = {name: values[0] if np.ndim(values) else values for name, values in ledger_rows().items()}
    assert arrow_table("ledger", row).num_rows == 1


def test_no_rows_are_a_table_too() -> None:
    rows = {name: np.empty(0) for name in round_rows()} | {"task": []}
    assert arrow_table("rounds", rows).num_rows == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energy_j": np.array([1.0, np.nan, 1.0, 1.0])}, "rounds.energy_j: a value is missing"),
        ({"task": ["a", None, "a", "b"]}, "rounds.task: a value is missing"),
        ({"started": np.array([2**40, 0, 0, 0])}, "rounds.started: cannot hold these values"),
        ({"latency_s": np.zeros(3)}, "different lengths"),
        ({"speed": 3.0}, "unknown: speed"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(FleetLoraError, match=message):
        arrow_table("rounds", round_rows(**changes))


def test_a_missing_column_is_named() -> None:
    rows = round_rows()
    del rows["price"]
    with pytest.raises(FleetLoraError, match="columns missing: price"):
        arrow_table("rounds", rows)


def test_an_arrow_table_serves_as_rows() -> None:
    rows = arrow_table("contacts", contact_rows())
    plain = pa.table({name: rows[name].to_pylist() for name in rows.column_names})
    assert arrow_table("contacts", plain).equals(rows)
