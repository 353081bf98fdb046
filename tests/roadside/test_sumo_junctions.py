"""RSUs at the junctions of a SUMO network."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetlora.errors import InputError
from fleetlora.roadside import Corridor, SumoJunctions, find_contacts
from tests.roadside.worlds import tracks_of

pytest.importorskip("sumolib")

_JUNCTIONS = {
    "A": (0, "dead_end"),
    "B": (400, "traffic_light"),
    "C": (800, "priority"),
    "D": (1200, "dead_end"),
}


def network(folder: Path, kind: str = "traffic_light") -> Path:
    """A street A–B–C–D of 400 m edges; B has a light, C has none."""
    lines = [
        '<net version="1.16"><location netOffset="0,0" convBoundary="0,0,1200,0"'
        ' origBoundary="0,0,1200,0" projParameter="!"/>'
    ]
    pairs = [("A", "B"), ("B", "C"), ("C", "D")]
    for a, b in pairs:
        x0, x1 = _JUNCTIONS[a][0], _JUNCTIONS[b][0]
        lines.append(
            f'<edge id="{a}{b}" from="{a}" to="{b}" priority="1"><lane id="{a}{b}_0" index="0" speed="13.9"'
            f' length="400" shape="{x0},0 {x1},0"/></edge>'
        )
    if kind == "traffic_light":
        lines.append(
            '<tlLogic id="B" type="static" programID="0" offset="0">'
            '<phase duration="30" state="G"/></tlLogic>'
        )
    for name, (x, sort) in _JUNCTIONS.items():
        sort = kind if sort == "traffic_light" else sort
        inc = "".join(f"{a}{b}_0" for a, b in pairs if b == name)
        lines.append(
            f'<junction id="{name}" type="{sort}" x="{x}" y="0" incLanes="{inc}" intLanes="" shape=""/>'
        )
    light = ' tl="B" linkIndex="0"' if kind == "traffic_light" else ""
    lines.append(f'<connection from="AB" to="BC" fromLane="0" toLane="0"{light} dir="s" state="M"/>')
    lines.append('<connection from="BC" to="CD" fromLane="0" toLane="0" dir="s" state="M"/></net>')
    path = folder / "street.net.xml"
    path.write_text("\n".join(lines))
    return path


STREET = tracks_of([[(0, 0, 0), (120, 1200, 0)]])


def test_rsus_stand_at_the_traffic_lights(tmp_path: Path) -> None:
    sites = SumoJunctions(net=str(network(tmp_path))).place(STREET, 200.0)
    assert (sites.name.tolist(), sites.x_m.tolist(), sites.y_m.tolist()) == (["B"], [400.0], [0.0])
    assert len(find_contacts(STREET, sites, 200.0, 1.2, 0.5)) == 1


def test_any_junction_serves_if_wanted(tmp_path: Path) -> None:
    placement = SumoJunctions(net=str(network(tmp_path)), lights_only=False)
    assert sorted(placement.place(STREET, 200.0).name.tolist()) == ["B", "C"]
    one = SumoJunctions(net=str(tmp_path / "street.net.xml"), lights_only=False, count=1)
    assert len(one.place(STREET, 200.0)) == 1


def test_a_network_can_give_the_candidates_of_another_placement(tmp_path: Path) -> None:
    sites = Corridor(count=2, candidates=str(network(tmp_path))).place(STREET, 300.0)
    assert sorted(sites.name.tolist()) == ["B", "C"]


def test_a_network_without_lights_is_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lights_only = false"):
        SumoJunctions(net=str(network(tmp_path, "priority"))).place(STREET, 200.0)


def test_too_many_junctions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only 1 candidate"):
        SumoJunctions(net=str(network(tmp_path)), count=5).place(STREET, 200.0)
