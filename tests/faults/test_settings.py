"""The section ``faults``: levels, numbers, and everything that is refused."""

from __future__ import annotations

import tomllib

import pytest

from fleetlora.config import load_experiment, to_toml
from fleetlora.errors import ConfigError
from fleetlora.faults import FAULTS, FaultSettings, Schedule
from tests.test_config import BASE


def faults(*overrides: str) -> FaultSettings:
    return load_experiment(BASE, overrides=[f"faults.{text}" for text in overrides]).faults


def test_everything_is_off_by_default() -> None:
    assert faults().on == ()


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_has_two_levels_and_can_be_switched_off(kind: str) -> None:
    mild, harsh = faults(f"{kind}=mild"), faults(f"{kind}=harsh")
    assert mild.on == harsh.on == (kind,)
    assert getattr(mild, kind) == FAULTS[kind]()
    assert getattr(harsh, kind) != getattr(mild, kind)
    assert faults(f"{kind}=harsh", f"{kind}=off").on == ()


def test_numbers_lie_over_a_level() -> None:
    assert faults("straggler.factor=3").straggler == FAULTS["straggler"](factor=3)
    own = faults("straggler={level='harsh', lasts_s=7}").straggler
    assert own is not None
    assert (own.factor, own.lasts_s) == (5.0, 7.0)


def test_an_experiment_with_faults_survives_the_round_trip() -> None:
    overrides = [f"faults.{kind}=harsh" for kind in FAULTS]
    experiment = load_experiment(BASE, overrides=[*overrides, "faults.rsu_outage={windows=[[1, 2.0, 9.5]]}"])
    assert load_experiment(tomllib.loads(to_toml(experiment))) == experiment


@pytest.mark.parametrize(
    ("override", "where", "said"),
    [
        ("rsu_outage=hars", "faults.rsu_outage", "did you mean 'harsh'"),
        ("rsu_outage={level='wild'}", "faults.rsu_outage", "unknown level 'wild'"),
        ("rsu_outages=mild", "faults.rsu_outages", "did you mean 'rsu_outage'"),
        ("rsu_outage.lasts=3", "faults.rsu_outage.lasts", "did you mean 'lasts_s'"),
        ("rsu_outage.lasts_s=-3", "faults.rsu_outage.lasts_s", "got -3"),
        ("cloud_outage.every_s=0", "faults.cloud_outage.every_s", "got 0"),
        ("packet_loss.loss_bad=1.5", "faults.packet_loss.loss_bad", "less than or equal to 1, got 1.5"),
        ("packet_loss.good_s=nan", "faults.packet_loss.good_s", "finite"),
        ("delivery.duplicate=-0.1", "faults.delivery.duplicate", "got -0.1"),
        ("delivery.late=2", "faults.delivery.late", "got 2"),
        ("delivery.delay_s=-1", "faults.delivery.delay_s", "got -1"),
        ("straggler.factor=0.5", "faults.straggler.factor", "got 0.5"),
        ("gps_drift.drift_mps=-1", "faults.gps_drift.drift_mps", "got -1"),
        ("clock_skew.offset_s=-1", "faults.clock_skew.offset_s", "got -1"),
        ("rsu_outage.windows=[[0, 9, 3]]", "faults.rsu_outage.windows", "end after it begins"),
        ("rsu_outage.windows=[[-1, 1, 3]]", "faults.rsu_outage.windows", "index from 0"),
        ("cloud_outage.windows=[[-5, 3]]", "faults.cloud_outage.windows", "begin at 0 s or later"),
        ("cloud_outage.windows=[[1, 2, 3]]", "faults.cloud_outage.windows", ""),
        ("rsu_outage=3", "faults.rsu_outage", ""),
    ],
)
def test_a_wrong_level_or_number_is_named(override: str, where: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        faults(override)
    assert where in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("override", "where", "said"),
    [
        ("rsu_outage.windows=[[0, 1, 3], [0, 300, 310]]", "faults.rsu_outage.windows.1", "over at 300 s"),
        ("rsu_outage.windows=[[4, 1, 3]]", "faults.rsu_outage.windows.0", "no RSU 4"),
        ("cloud_outage.windows=[[500, 600]]", "faults.cloud_outage.windows.0", "begins at 500 s"),
    ],
)
def test_a_window_outside_the_run_is_named(override: str, where: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Schedule.drawn(faults(override), seed=0, n_vehicles=3, n_rsus=4, horizon_s=300.0)
    assert where in str(caught.value)
    assert said in str(caught.value)


def test_a_fault_is_drawn_alike_whatever_else_is_on() -> None:
    alone = Schedule.drawn(faults("straggler=mild"), 3, 20, 4, 3000.0)
    among = Schedule.drawn(faults("straggler=mild", "reboot=harsh", "gps_drift=mild"), 3, 20, 4, 3000.0)
    assert alone.straggler.begin_s.tolist() == among.straggler.begin_s.tolist() != []
    other = Schedule.drawn(faults("straggler=mild"), 4, 20, 4, 3000.0)
    assert other.straggler.begin_s.tolist() != alone.straggler.begin_s.tolist()
