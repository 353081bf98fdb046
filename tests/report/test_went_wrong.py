"""The section of the report about faults, and the table it is made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetlora.errors import InputError
from fleetlora.faults import FAULTS, Events
from fleetlora.records import Run, RunIdentity, RunWriter, open_run
from fleetlora.report.went_wrong import faults_section


def _run(path: Path, events: Events | None) -> Run:
    identity = RunIdentity(method="m", preset="p", seed=0, vehicles=2, rsus=1)
    with RunWriter(path, "", identity, optional=() if events is None else ("faults",)) as writer:
        if events is not None:
            writer.append("faults", events.rows(0, ("signs",)))
    return open_run(path)


def test_kinds_are_counted_in_words_with_their_mean_size(tmp_path: Path) -> None:
    skews = Events.of("clock_skew", [1.0, 2.0], [1.0, 2.0], vehicle=[0, 1], task=0, value=[-3.0, 1.0])
    run = _run(tmp_path / "run", Events.joined([skews, Events.of("rsu_outage", 0.5, 9.0, rsu=0)]))
    shown = faults_section(run)
    assert "a vehicle&#x27;s time stamp was not believed</td><td>2</td><td>2 s off" in shown
    assert "radio was off</td><td>1</td><td>–" in shown
    assert run.result["faults"] == {"clock_skew": 2, "rsu_outage": 1}
    assert run.faults["begin_s"].to_list() == [0.5, 1.0, 2.0]
    assert run.faults["task"].cast(str).to_list() == [None, "signs", "signs"]


def test_a_run_in_which_no_fault_came_says_so(tmp_path: Path) -> None:
    assert "No fault came" in faults_section(_run(tmp_path / "run", Events.none()))


def test_a_run_without_faults_has_no_section(tmp_path: Path) -> None:
    run = _run(tmp_path / "run", None)
    assert faults_section(run) == ""
    assert "faults" not in run.result


@pytest.mark.parametrize("kind", sorted(set(FAULTS) - {"delivery"}))
def test_every_fault_is_told_in_words(kind: str, tmp_path: Path) -> None:
    shown = faults_section(_run(tmp_path / "run", Events.of(kind, 0.0, 1.0)))
    assert f"<td>{kind}" not in shown, "the words are not the key again"


def test_a_time_that_no_run_has_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"faults\.begin_s"):
        _run(tmp_path / "run", Events.of("reboot", float("inf"), 1.0, vehicle=0))
