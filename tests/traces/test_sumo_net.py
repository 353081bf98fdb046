"""Junctions of a SUMO network."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from fleetlora.errors import InputError, MissingDependencyError
from fleetlora.traces.sumo_net import has_projection, junctions
from tests.traces.sumo_making import make_scenario, require_sumo


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_sumo()
    return make_scenario(tmp_path_factory.mktemp("world"))


def test_the_signalised_junction_comes_first_and_the_rest_by_lanes(config: Path) -> None:
    found = junctions(config.parent / "grid.net.xml")
    assert len(found) == 9
    assert found.crs == "local"
    assert found.name[0] == "B1"
    assert found.signalised.tolist() == [True] + [False] * 8
    assert (found.x[0], found.y[0]) == (100.0, 100.0)
    assert np.all(np.diff(found.lanes[1:]) <= 0)


def test_a_configuration_stands_for_its_network_and_gzip_is_read(config: Path, tmp_path: Path) -> None:
    plain = junctions(config)
    packed = tmp_path / "grid.net.xml.gz"
    packed.write_bytes(gzip.compress((config.parent / "grid.net.xml").read_bytes()))
    assert junctions(packed).name.tolist() == plain.name.tolist()


def test_a_projection_is_found_wherever_it_stands(tmp_path: Path) -> None:
    net = tmp_path / "a.net.xml"
    place = '<location netOffset="0,0" projParameter="{}"/>'
    filler = "<!--" + "x" * 70_000 + "-->"
    for parameter, expected in (("!", False), ("-", False), ("", False), ("+proj=utm +zone=32", True)):
        net.write_text(f"<net>{filler}{place.format(parameter)}</net>")
        assert has_projection(net) is expected


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<routes/>")
    with pytest.raises(InputError, match="no <location>"):
        junctions(path)
    require_sumo()
    path.write_text('<net><location projParameter="!"/><edge')
    with pytest.raises(InputError, match="not a readable SUMO network"):
        junctions(path)


def test_a_cut_off_gzip_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.net.xml.gz"
    path.write_bytes(gzip.compress(b"<net>" + b"x" * 1000)[:-10])
    with pytest.raises(InputError, match="damaged gzip"):
        has_projection(path)


def test_missing_sumolib_says_how_to_get_it(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sumolib.net", None)
    with pytest.raises(MissingDependencyError, match="sumolib"):
        junctions(config)
