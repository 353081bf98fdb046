"""A run that was stopped goes on to the very result of one that was not, wherever it was stopped."""

from __future__ import annotations

import copy
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fleetlora
from fleetlora import files
from fleetlora.console import Quiet
from fleetlora.errors import InputError
from fleetlora.faults import FAULTS
from fleetlora.federation.loop import Simulation
from fleetlora.records import Checkpoints
from tests.tiny import save_backbone, stopped

#: Methods that between them have every kind of state: bandits, pruned ranks, stacks, own bases, budgets.
METHODS = (
    *("ucb-dual", "ucb-dual-paper", "ucb-dual-loop", "ucb-alp", "ucb-bv", "primal-dual-bwk"),
    *("hetlora", "flora", "fedra", "ffa", "homolora-2"),
)

ALWAYS = {"every": 1, "share": 1e9}


def _values(tiny: dict[str, Any], method: str = "ucb-dual") -> dict[str, Any]:
    values = copy.deepcopy(tiny)
    values |= {"method": method, "checkpoint": ALWAYS}
    values |= {"round": {"count": 6, "period_s": 20.0, "patience": 3.0}}
    values |= {"evaluation": {"tail": 0.5, "head_only": False}, "budget": {"total_j": 400.0}}
    return values


@pytest.fixture(scope="module")
def digest(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of a run that never stopped."""
    whole = fleetlora.run(_values(tiny), tmp_path_factory.mktemp("whole") / "run", report=False)
    return str(whole.result["digest"])


def test_the_result_tells_what_checkpoints_and_tables_took(tiny: dict[str, Any], tmp_path: Path) -> None:
    values = _values(tiny) | {"evaluation": {"head_only": True}}
    host = fleetlora.run(values, tmp_path / "run", report=False).result["host"]
    assert 0 < host["checkpoints_seconds"] < host["seconds"]
    assert 0 <= host["tables_seconds"] < host["seconds"]


def test_all_that_a_checkpoint_needs_is_on_the_disk_before_it_and_the_result_before_it_goes(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: set[int] = set()
    moments: list[str] = []
    run = tmp_path / "run"

    def loose() -> set[str]:
        """Files of the run that a power cut may lose."""
        there = [path for path in run.rglob("*") if path.is_file()]
        return {str(path.relative_to(run)) for path in there if path.stat().st_ino not in forced}

    def note(path: Path, force: Any = files.force) -> None:
        force(path)
        forced.add(path.stat().st_ino)

    def save(self: Checkpoints, rounds: int, state: Any, save: Any = Checkpoints.save) -> Path:
        assert loose() <= {"log.txt"}
        moments.append("save")
        return Path(save(self, rounds, state))

    def remove(self: Checkpoints, remove: Any = Checkpoints.remove) -> None:
        assert (run / "result.json").exists()
        assert list(run.glob("adapters/*/head.safetensors"))
        assert loose() <= {"log.txt"}
        moments.append("remove")
        remove(self)

    monkeypatch.setattr(files, "force", note)
    monkeypatch.setattr(Checkpoints, "save", save)
    monkeypatch.setattr(Checkpoints, "remove", remove)
    fleetlora.run(_values(tiny) | {"checkpoint": {"every": 2, "share": 1.0}}, run, report=False)
    assert moments == ["save"] * 3 + ["remove"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_ends_with_the_digest_of_one_that_never_stopped(
    method: str, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = _values(tiny, method)
    whole = fleetlora.run(values, tmp_path / "whole", report=False)
    stopped(values, tmp_path / "stopped", 3, monkeypatch)
    played: list[int] = []
    step = Simulation.step
    monkeypatch.setattr(Simulation, "step", lambda self: (played.append(self.round), step(self))[1])
    resumed = fleetlora.resume(tmp_path / "stopped", report=False)
    assert resumed.complete
    assert resumed.result["digest"] == whole.result["digest"]
    assert played == [3, 4, 5], "rounds that were over are not played again"
    assert not (resumed.path / "checkpoints").exists(), "they are of no use to a complete run"


def test_it_does_not_matter_after_which_round_or_how_often_it_stopped(
    tiny: dict[str, Any], digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = _values(tiny)
    for after in (0, 1, 5):
        stopped(values, tmp_path / f"after-{after}", after, monkeypatch)
        assert fleetlora.resume(tmp_path / f"after-{after}", report=False).result["digest"] == digest
    stopped(values, tmp_path / "twice", 2, monkeypatch)
    step = Simulation.step

    def interrupted(self: Simulation) -> Any:
        if self.round == 4:
            raise KeyboardInterrupt
        return step(self)

    with monkeypatch.context() as patched:
        patched.setattr(Simulation, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fleetlora.resume(tmp_path / "twice", report=False)
    assert fleetlora.resume(tmp_path / "twice", report=False).result["digest"] == digest


def test_a_damaged_checkpoint_costs_the_rounds_since_the_one_before(
    tiny: dict[str, Any], digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = _values(tiny)
    stopped(values, tmp_path / "stopped", 4, monkeypatch)
    kept = sorted((tmp_path / "stopped" / "checkpoints").iterdir())
    assert [path.name for path in kept] == ["round-00000003.safetensors", "round-00000004.safetensors"]
    size = kept[1].stat().st_size
    for name, place in (("head", 40), ("middle", size // 2), ("end", size - 5)):
        damaged = shutil.copytree(tmp_path / "stopped", tmp_path / name)
        _flip(damaged / "checkpoints" / kept[1].name, place)
        said: list[str] = []
        resumed = fleetlora.resume(damaged, report=False, progress=_Said(said))
        assert resumed.result["digest"] == digest
        assert any("damaged" in line and kept[1].name in line for line in said)
    for path in kept:
        path.write_bytes(path.read_bytes()[:100])
    assert fleetlora.resume(tmp_path / "stopped", report=False).result["digest"] == digest


def test_flipped_bits_in_a_table_are_named_or_change_nothing(
    tiny: dict[str, Any], digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = _values(tiny)
    stopped(values, tmp_path / "stopped", 3, monkeypatch)
    named = 0
    for table in ("rounds", "updates", "ledger"):
        for eighth in (1, 3, 5, 7):
            damaged = shutil.copytree(tmp_path / "stopped", tmp_path / f"{table}-{eighth}")
            path = damaged / f"{table}.parquet"
            _flip(path, eighth * path.stat().st_size // 8)
            said = _outcome(damaged)
            named += path.name in said
            # a flipped byte may hold no value, such as a column's statistics
            assert path.name in said or said == digest
    assert named >= 6


def _outcome(directory: Path) -> str:
    """Return the digest of the resumed run, or why it was refused."""
    try:
        return str(fleetlora.resume(directory, report=False).result["digest"])
    except InputError as error:
        return str(error)


def test_other_data_than_it_began_with_is_refused(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = _values(tiny)
    tracks = tmp_path / "tracks.csv"
    lines = Path(values["traces"]["path"]).read_text().splitlines()
    tracks.write_text("\n".join(lines))
    values["traces"]["path"] = str(tracks)
    stopped(values, tmp_path / "stopped", 3, monkeypatch)
    tracks.write_text("\n".join(line for line in lines if not line.startswith("bus03")))
    with pytest.raises(InputError, match="not those that the run began with"):
        fleetlora.resume(tmp_path / "stopped", report=False)
    tracks.write_text("\n".join(lines))
    assert fleetlora.resume(tmp_path / "stopped", report=False).complete, (
        "the refusal left everything as it was"
    )


@pytest.mark.parametrize("changed", ["text", "model"])
def test_other_texts_or_another_model_of_the_same_size_are_refused(
    changed: str, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = _values(tiny)
    train, model = (tmp_path / name for name in ("train.csv", "model"))
    shutil.copy(values["tasks"][0]["train"], train)
    shutil.copytree(values["backbone"]["path"], model)
    values["tasks"][0]["train"], values["backbone"]["path"] = str(train), str(model)
    stopped(values, tmp_path / "stopped", 3, monkeypatch)
    if changed == "text":
        header, first, second, *rest = train.read_text("utf-8").splitlines()
        train.write_text("\n".join([header, second, first, *rest]) + "\n", "utf-8")
    else:
        save_backbone(model, seed=4)
    with pytest.raises(InputError, match="texts or model are not those"):
        fleetlora.resume(tmp_path / "stopped", report=False)


def test_the_head_only_run_goes_on_where_it_was_too(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = _values(tiny)
    values["evaluation"]["head_only"] = True
    whole = fleetlora.run(values, tmp_path / "whole", report=False)
    stopped(values, tmp_path / "stopped", 6 + 4, monkeypatch)
    played: list[int] = []
    step = Simulation.step
    monkeypatch.setattr(Simulation, "step", lambda self: (played.append(self.round), step(self))[1])
    resumed = fleetlora.resume(tmp_path / "stopped", report=False)
    assert resumed.result["digest"] == whole.result["digest"]
    assert resumed.result["tasks"] == whole.result["tasks"]
    assert played == [4, 5], "neither the rounds before nor the head-only ones that were over"
    assert not (resumed.path / "checkpoints").exists()


def test_a_checkpoint_of_another_layout_is_refused_and_nothing_is_begun_anew(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("fleetlora.records.checkpoint.SCHEMA", 99)
        stopped(_values(tiny), tmp_path / "stopped", 3, monkeypatch)
    with pytest.raises(InputError, match="layout 99"):
        fleetlora.resume(tmp_path / "stopped", report=False)
    assert sorted(set(fleetlora.open_run(tmp_path / "stopped").rounds["round"])) == [0, 1, 2]


def test_a_complete_run_is_returned_as_it_is(tiny: dict[str, Any], tmp_path: Path) -> None:
    done = fleetlora.run(_values(tiny), tmp_path / "done", report=False)
    before = (done.path / "result.json").stat().st_mtime_ns
    assert fleetlora.resume(done.path, report=False).result == done.result
    assert (done.path / "result.json").stat().st_mtime_ns == before


def test_only_the_last_two_checkpoints_are_kept_and_part_written_ones_removed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    state = {"array": np.arange(3), "none": None, "inf": float("-inf"), "list": [{"x": np.float32(0.5)}]}
    for rounds in (9, 10, 11):
        checkpoints.save(rounds, state)
    (checkpoints.folder / ".round-00000012.safetensors.xyz.part").write_bytes(b"half")
    newest = checkpoints.newest(print)
    assert newest is not None
    assert newest.rounds == 11
    np.testing.assert_array_equal(newest.state["array"], [0, 1, 2])
    assert newest.state["none"] is None
    assert newest.state["inf"] == float("-inf")
    assert newest.state["list"] == [{"x": 0.5}]
    assert len(list(checkpoints.folder.glob("round-*"))) == 2
    checkpoints.remove()
    assert not checkpoints.folder.exists()


def _flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(bytes(content))


class _Said(Quiet):
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk of its own of 4 MiB; skipped where the system does not let us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(
    tiny: dict[str, Any], digest: str, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = _values(tiny)
    ballast = small_disk / "ballast"
    step = Simulation.step

    def fills(self: Simulation) -> Any:
        if self.round == 3:
            with suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1024))
        return step(self)

    monkeypatch.setattr(Simulation, "step", fills)
    with pytest.raises(InputError, match="No space left") as caught:
        fleetlora.run(values, small_disk / "run", report=False)
    monkeypatch.undo()
    assert "--resume" in str(caught.value)
    ballast.unlink()
    assert not list(small_disk.rglob("*.part")), "nothing half-written is left"
    resumed = fleetlora.resume(small_disk / "run", report=False)
    assert resumed.result["digest"] == digest


def test_a_resumed_run_meets_the_faults_that_the_whole_run_meets(
    tiny: dict[str, Any], digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = _values(tiny) | {"faults": dict.fromkeys(FAULTS, "harsh")}
    whole = fleetlora.run(values, tmp_path / "whole", report=False)
    assert whole.result["digest"] != digest
    assert whole.result["overdraw_j"] == 0.0
    assert sum(whole.result["faults"].values()) == len(whole.faults) > 20
    stopped(values, tmp_path / "stopped", 3, monkeypatch)
    resumed = fleetlora.resume(tmp_path / "stopped", report=False)
    assert resumed.result["digest"] == whole.result["digest"]
    assert resumed.faults.equals(whole.faults)


def test_faults_that_are_off_leave_no_trace(tiny: dict[str, Any], digest: str, tmp_path: Path) -> None:
    values = _values(tiny) | {"faults": dict.fromkeys(FAULTS, "off")}
    plain = fleetlora.run(values, tmp_path / "plain", report=False)
    assert plain.result["digest"] == digest
    assert "faults" not in plain.result
    assert not (plain.path / "faults.parquet").exists()
    assert plain.faults.is_empty()
