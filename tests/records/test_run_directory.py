from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from fleetlora.errors import FleetLoraError, InputError
from fleetlora.records import (
    Ledger,
    RunIdentity,
    RunWriter,
    arrow_table,
    build_result,
    check_run_directory,
    open_run,
)
from tests.records.rows import contact_rows, ledger_rows, round_rows, update_rows

IDENTITY = RunIdentity("ucb-dual", "warsaw", seed=3, vehicles=5, rsus=3)
CONFIG = 'seed = 3\n[task.a]\nname = "ü"\n'


def begin(directory: Path, **options: bool) -> RunWriter:
    return RunWriter(directory, CONFIG, IDENTITY, **options)


def fill(writer: RunWriter) -> None:
    writer.append("rounds", round_rows())
    writer.append("updates", update_rows())
    writer.append("contacts", contact_rows())
    writer.append("ledger", ledger_rows())


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    with begin(tmp_path / "run") as writer:
        fill(writer)
        writer.log("one line")
        writer.finish(build_result(IDENTITY, writer.tables()))
    return tmp_path / "run"


def test_what_was_written_is_read_back(finished: Path) -> None:
    run = open_run(finished)
    assert run.complete
    assert run.config == {"seed": 3, "task": {"a": {"name": "ü"}}}
    assert run.tables["rounds"].equals(arrow_table("rounds", round_rows()))
    assert run.tables["updates"].equals(arrow_table("updates", update_rows()))
    assert run.ledger["joules"].sum() == 13.5
    assert run.contacts.height == 2
    assert run.rounds["task"].to_list() == ["a", "b", "a", "b"]
    assert run.updates["outcome"].to_list()[2] == "handed_off"
    assert run.identity == IDENTITY
    assert run.tasks == ("a", "b")
    assert run.log == "one line\n"
    assert run.map() is None


def test_a_run_directory_holds_what_it_promises(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {"config.toml", "log.txt", "result.json"} | {
        f"{table}.parquet" for table in ("rounds", "updates", "contacts", "ledger")
    }


def test_rows_may_come_in_any_portions(tmp_path: Path) -> None:
    writer = begin(tmp_path / "run")
    for first in range(5):
        row = {n: v[first : first + 1] if np.ndim(v) else v for n, v in update_rows().items()}
        writer.append("updates", row)
        writer.flush()
    assert open_run(tmp_path / "run").tables["updates"].equals(arrow_table("updates", update_rows()))


def test_the_ledger_is_taken_over_in_portions(tmp_path: Path) -> None:
    ledger, writer = Ledger(("a",), {"a": 100.0}), begin(tmp_path / "run")
    for joules in (1.0, 2.0, 4.0):
        ledger.charge(0, 1.0, 2, 0, "a", "compute", "delivered", joules)
        writer.append_ledger(ledger)
        writer.append_ledger(ledger)
    assert writer.tables()["ledger"]["joules"].to_pylist() == [1.0, 2.0, 4.0]


def test_a_run_can_be_read_from_its_first_moment(tmp_path: Path) -> None:
    begin(tmp_path / "deep" / "run")
    run = open_run(tmp_path / "deep" / "run")
    assert not run.complete
    assert run.rounds.height == 0
    assert (run.identity, run.result["method"]) == (IDENTITY, "ucb-dual")


def test_an_interrupted_run_keeps_what_was_flushed(tmp_path: Path) -> None:
    def stopped() -> None:
        with begin(tmp_path / "run") as writer:
            fill(writer)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    run = open_run(tmp_path / "run")
    assert run.result["status"] == "interrupted"
    assert run.result["tasks"]["a"]["accuracy"] == 0.7
    assert run.result["energy_j"]["total"] == 13.0
    assert not list((tmp_path / "run").glob(".*"))


def test_a_directory_with_a_run_is_refused(finished: Path) -> None:
    before = {path: path.read_bytes() for path in finished.iterdir()}
    with pytest.raises(InputError, match="already holds a run"):
        begin(finished)
    assert {path: path.read_bytes() for path in finished.iterdir()} == before


def test_overwriting_removes_a_runs_files_and_no_others(finished: Path) -> None:
    kept = [finished / "notes.txt", finished / "figures" / "mine.pdf", finished / "adapters" / "a" / "mine"]
    gone = [finished / "report.html", finished / "adapters" / "b" / "head.safetensors"]
    for path in kept + gone:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    begin(finished, overwrite=True)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)
    assert not (finished / "adapters" / "b").exists()
    assert not (finished / "result.json").exists()
    assert open_run(finished).rounds.height == 0


def test_a_users_config_is_no_run_and_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("mine = 1\n")
    with pytest.raises(InputError, match=r"holds config\.toml, which a run would overwrite"):
        begin(tmp_path, overwrite=True)
    assert (tmp_path / "config.toml").read_text() == "mine = 1\n"


def test_a_run_may_go_into_an_empty_or_a_foreign_directory(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "paper.tex").write_text("x")
    for name in ("empty", "foreign"):
        begin(tmp_path / name)
        assert open_run(tmp_path / name).rounds.height == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "foreign"]


def test_a_file_where_the_directory_should_be_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        begin(tmp_path / "run")
    with pytest.raises(InputError, match="cannot write a run here"):
        begin(tmp_path / "run" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_place_can_be_checked_before_there_is_anything_to_write(finished: Path, tmp_path: Path) -> None:
    assert check_run_directory(tmp_path / "new") == []
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="already holds a run"):
        check_run_directory(finished)
    assert finished / "result.json" in check_run_directory(finished, overwrite=True)


def test_a_directory_that_holds_no_run_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run directory"):
        open_run(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        open_run(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["rounds.parquet", "ledger.parquet", "config.toml"])
def test_a_missing_file_is_named(finished: Path, name: str) -> None:
    (finished / name).unlink()
    with pytest.raises(InputError, match=f"the run has no {name}"):
        open_run(finished)


@pytest.mark.parametrize("name", ["rounds.parquet", "config.toml", "result.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe{", b"PAR1"])
def test_a_damaged_file_is_named(finished: Path, name: str, content: bytes) -> None:
    if name == "config.toml" and not content:
        content = b"= 3"
    (finished / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: damaged"):
        open_run(finished)


def test_a_truncated_table_is_damaged(finished: Path) -> None:
    path = finished / "updates.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"updates\.parquet: damaged"):
        open_run(finished)


def test_a_table_of_another_kind_is_refused(finished: Path) -> None:
    (finished / "updates.parquet").write_bytes((finished / "rounds.parquet").read_bytes())
    with pytest.raises(InputError, match=r"updates\.parquet: damaged: updates: columns missing"):
        open_run(finished)


def test_a_foreign_parquet_file_is_refused(finished: Path) -> None:
    table = pq.read_table(finished / "rounds.parquet")
    pq.write_table(table.replace_schema_metadata(None), finished / "rounds.parquet")
    with pytest.raises(InputError, match="says no layout number"):
        open_run(finished)


@pytest.mark.parametrize("name", ["rounds.parquet", "result.json"])
def test_a_run_of_a_newer_layout_asks_for_an_upgrade(finished: Path, name: str) -> None:
    if name == "result.json":
        result = json.loads((finished / name).read_text())
        (finished / name).write_text(json.dumps(result | {"schema": 99}))
    else:
        table = pq.read_table(finished / name)
        pq.write_table(table.replace_schema_metadata({"fleetlora.schema": "99"}), finished / name)
    with pytest.raises(InputError, match="newer fleetlora"):
        open_run(finished)


@pytest.mark.parametrize("task", ["", "..", "a/b", "a\\b", "a:b"])
def test_a_task_that_cannot_name_a_folder_is_refused(tmp_path: Path, task: str) -> None:
    with pytest.raises(InputError, match="cannot name a folder"):
        begin(tmp_path / "run").adapter_dir(task)


def test_adapters_have_a_folder_each(tmp_path: Path) -> None:
    writer = begin(tmp_path / "run")
    folder = writer.adapter_dir("a")
    assert folder == tmp_path / "run" / "adapters" / "a"
    with pytest.raises(InputError, match="no trained adapter for task 'a'"):
        open_run(tmp_path / "run").adapter_dir("a")
    (folder / "adapter_model.safetensors").write_bytes(b"x")
    assert open_run(tmp_path / "run").adapter_dir("a") == folder


def test_a_result_without_its_digest_is_not_written(tmp_path: Path) -> None:
    writer = begin(tmp_path / "run")
    with pytest.raises(FleetLoraError, match="needs schema, status and digest"):
        writer.finish({"schema": 1})
    assert not (tmp_path / "run" / "result.json").exists()
