"""Run directories of every layout there ever was still open, and nothing in them is changed."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fleetlora.comparison.measures import measured
from fleetlora.errors import InputError
from fleetlora.lora.peft_files import load_peft
from fleetlora.records import SCHEMA, open_run
from fleetlora.records.migration import STEPS, Step
from tests.records.make_sample import SAMPLES


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_layout_has_a_stored_sample() -> None:
    assert sorted(path.name for path in SAMPLES.iterdir()) == [f"schema-{n}" for n in range(1, SCHEMA + 1)]


@pytest.mark.parametrize("sample", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
def test_a_stored_run_opens_with_all_it_holds_and_stays_as_it_is(sample: Path) -> None:
    before = _hashes(sample)
    run = open_run(sample)
    assert run.complete
    assert run.result["digest"] == "21e06a2e2e1645ec4683af64c73f9dd18129d468f62d01f81fcdfcc4731810ef"
    assert run.rounds.height == run.result["rounds"] == 2
    assert (run.updates.height, run.contacts.height > 0, run.ledger.height > 0) == (16, True, True)
    assert measured(run).values["accuracy"] == run.result["mean_accuracy"]
    assert load_peft(run.adapter_dir("signs")).rank == 16
    assert _hashes(sample) == before


@pytest.fixture
def ancient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of a made-up layout 0: its joules were ``spent``, its rounds had kilojoules and no prices."""
    there = shutil.copytree(SAMPLES / "schema-1", tmp_path / "ancient")
    result = json.loads((there / "result.json").read_text())
    result |= {"schema": 0, "spent": result.pop("energy_j")}
    (there / "result.json").write_text(json.dumps(result))
    for path in there.glob("*.parquet"):
        table = pq.read_table(path)
        notes = {**table.schema.metadata, b"fleetlora.schema": b"0"}
        if path.name == "rounds.parquet":
            at = table.column_names.index("energy_j")
            kilo = pa.array(table["energy_j"].to_numpy() / 1000)
            table = table.set_column(at, "energy_kj", kilo).drop_columns(["price"])
        pq.write_table(table.replace_schema_metadata(notes), path)

    def renamed(result: dict[str, object]) -> dict[str, object]:
        return {**result, "energy_j": result["spent"]}

    def converted(name: str, table: pa.Table) -> pa.Table:
        if name != "rounds":
            return table
        joules = pa.array(table["energy_kj"].to_numpy() * 1000)
        table = table.drop_columns(["energy_kj"]).append_column("energy_j", joules)
        return table.append_column("price", pa.array([0.0] * len(table)))

    monkeypatch.setitem(STEPS, 0, Step(renamed, converted))
    return there


def test_an_old_layout_is_read_as_todays_through_its_steps(ancient: Path) -> None:
    before, today = _hashes(ancient), open_run(SAMPLES / "schema-1")
    run = open_run(ancient)
    assert run.result["energy_j"] == today.result["energy_j"]
    assert run.result["schema"] == SCHEMA
    assert run.rounds["energy_j"].to_list() == pytest.approx(today.rounds["energy_j"].to_list(), rel=1e-12)
    assert run.rounds.columns == today.rounds.columns
    assert run.updates.equals(today.updates)
    assert _hashes(ancient) == before, "reading changes no file"


def test_a_layout_without_steps_is_refused_and_named(ancient: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(STEPS, 0)
    with pytest.raises(InputError, match=r"of layout 0, which this fleetlora reads no more"):
        open_run(ancient)


@pytest.mark.parametrize("file", ["result.json", "updates.parquet"])
def test_a_newer_layout_is_refused_with_its_mend(tmp_path: Path, file: str) -> None:
    newer = shutil.copytree(SAMPLES / "schema-1", tmp_path / "newer")
    path = newer / file
    if path.suffix == ".json":
        path.write_text(json.dumps({**json.loads(path.read_text()), "schema": SCHEMA + 1}))
    else:
        table = pq.read_table(path)
        pq.write_table(table.replace_schema_metadata({b"fleetlora.schema": b"2"}), path)
    with pytest.raises(InputError, match="newer fleetlora") as refused:
        open_run(newer)
    assert "update fleetlora" in str(refused.value)
    assert file in str(refused.value)
