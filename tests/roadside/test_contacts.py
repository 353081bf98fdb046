"""What can be asked of contacts, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from fleetlora.errors import ConfigError, InputError
from fleetlora.roadside import Association, Contacts, Sites, find_contacts, require_contacts
from tests.roadside.test_contacts_exact import drive
from tests.roadside.worlds import World, sites_at, tracks_of, worlds


@pytest.fixture
def passing() -> Contacts:
    """Site 0 from 50 s to 150 s, then 1 until 240 s; a second vehicle stays away; a third parks at site 1."""
    tracks = tracks_of(
        [[(0, -1000, 0), (300, 2000, 0)]], [[(0, 0, 9000), (300, 0, 9000)]], [[(10, 900, 0), (20, 900, 0)]]
    )
    return find_contacts(tracks, sites_at((0, 0), (900, 0)), 500, 3.0, 0.5)


def test_serving_tells_who_serves_every_vehicle(passing: Contacts) -> None:
    now = passing.serving(15.0)
    assert now.rsu.tolist() == [-1, -1, 1]
    assert now.contact.tolist() == [-1, -1, 2]
    assert now.t_in_s[2] == 10.0
    assert now.t_out_s[2] == 20.0
    assert np.isnan(now.t_in_s[:2]).all()
    assert passing.serving(100.0).rsu.tolist() == [0, -1, -1]


def test_a_contact_holds_at_its_begin_and_no_longer_at_its_end(passing: Contacts) -> None:
    assert passing.serving(150.0).rsu[0] == 1
    assert passing.serving(float(passing.t_out_s[1])).rsu[0] == -1
    assert passing.serving(-1.0).rsu.tolist() == [-1, -1, -1]
    assert passing.serving(1e9).rsu.tolist() == [-1, -1, -1]


def test_columns_have_their_types_and_order(passing: Contacts) -> None:
    table = passing.to_arrow()
    assert table.column_names == ["vehicle", "rsu", "t_in_s", "t_out_s", "handoff", "end"]
    assert [str(field.type) for field in table.schema] == [
        "int32",
        "int32",
        "double",
        "double",
        "bool",
        "int8",
    ]
    assert table.num_rows == len(passing) == 3


def test_a_handoff_leads_to_the_next_row(passing: Contacts) -> None:
    assert passing.n_handoffs == 1
    assert passing.next_contact.tolist() == [1, -1, -1]
    assert passing.rsu[passing.next_contact[0]] == 1


def test_overlap_finds_contacts_that_hold_in_a_window(passing: Contacts) -> None:
    assert passing.overlap(0.0, 10.0).tolist() == []
    assert passing.overlap(0.0, 50.1).tolist() == [0, 2]
    assert passing.overlap(140.0, 160.0).tolist() == [0, 1]
    assert passing.overlap(150.0, 160.0).tolist() == [1]


def test_summary_counts_contacts_and_their_time(passing: Contacts) -> None:
    found = passing.summary()
    assert (found["contacts"], found["handoffs"], found["vehicles_met"], found["rsus_met"]) == (3, 1, 2, 2)
    assert found["contact_s"] == pytest.approx(100 + 90 + 10)
    assert found["median_dwell_s"] == pytest.approx(90)


@settings(max_examples=40, derandomize=True)
@given(worlds())
def test_serving_agrees_with_the_rows_at_any_time(world: World) -> None:
    contacts = find_contacts(world.tracks, world.sites, **world.options())
    for t_s in np.linspace(-1, world.tracks.duration_s + 1, 37):
        now = contacts.serving(t_s)
        for vehicle in range(world.tracks.n_vehicles):
            rows = np.flatnonzero(
                (contacts.vehicle == vehicle) & (contacts.t_in_s <= t_s) & (t_s < contacts.t_out_s)
            )
            assert now.contact[vehicle] == (rows[0] if len(rows) else -1)
            assert now.rsu[vehicle] == (contacts.rsu[rows[0]] if len(rows) else -1)


def test_no_contact_at_all_is_refused_with_the_distance_and_a_mend() -> None:
    tracks, sites = drive(0, 100), sites_at((5000, 0))
    contacts = find_contacts(tracks, sites, 400, 1.2, 0.5)
    assert len(contacts) == contacts.n_handoffs == 0
    assert contacts.serving(5.0).rsu.tolist() == [-1]
    assert contacts.summary()["median_dwell_s"] == 0.0
    with pytest.raises(InputError, match=r"none of the 1 vehicles .* 1 RSUs: .* 4,900 m .* 400 m") as caught:
        require_contacts(contacts, tracks, sites, 400)
    assert "corridor" in str(caught.value)


def test_contacts_that_exist_are_accepted(passing: Contacts) -> None:
    require_contacts(passing, drive(0, 1), sites_at((0, 0)), 500)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"coverage_m": 0.0}, "coverage_m"),
        ({"coverage_m": float("nan")}, "coverage_m"),
        ({"coverage_m": float("inf")}, "coverage_m"),
        ({"distance_ratio": 0.99}, "distance_ratio"),
        ({"time_to_trigger_s": -0.1}, "time_to_trigger_s"),
        ({"height_m": -1.0}, "height_m"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(change: dict[str, float], name: str) -> None:
    options = {"coverage_m": 400.0, "distance_ratio": 1.2, "time_to_trigger_s": 0.5, "height_m": 8.5} | change
    with pytest.raises(ConfigError, match=name):
        find_contacts(drive(0, 100), sites_at((0, 0)), **options)


def test_no_sites_are_refused() -> None:
    with pytest.raises(InputError, match="no RSU sites"):
        find_contacts(drive(0, 100), Sites.of(np.zeros(0), np.zeros(0)), 400, 1.2, 0.5)


def test_association_defaults_are_the_usual_ones() -> None:
    association = Association()
    assert association.hysteresis_db == 3.0
    assert association.time_to_trigger_s == 0.256
    for field in Association.model_fields.values():
        extra = field.json_schema_extra
        assert isinstance(extra, dict)
        assert extra["unit"]
        assert extra["source"]


def test_association_refuses_a_negative_hysteresis() -> None:
    with pytest.raises(ValidationError, match="hysteresis_db"):
        Association(hysteresis_db=-1)


def test_rows_by_dwell_go_from_rsu_to_rsu_and_from_short_to_long(passing: Contacts) -> None:
    # 100 s at site 0; at site 1 90 s, and the parked vehicle's 10 s
    assert passing.rsu.tolist() == [0, 1, 1]
    assert passing.by_dwell.tolist() == [0, 2, 1]
