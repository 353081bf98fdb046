"""A small SUMO world made by SUMO's own tools: a signalised grid, cars, a bus and a person on foot."""

from __future__ import annotations

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

ROUTES = """<routes>
  <vType id="car" length="4.3"/>
  <vType id="bus" vClass="bus" length="12"/>
  {person}
  <trip id="car0" type="car" depart="0" from="A0B0" to="C1C2"/>
  <trip id="bus0" type="bus" depart="2" from="B0B1" to="C1C2"/>
  <trip id="car1" type="car" depart="4" from="A0B0" to="C1C2"/>
  <trip id="car2" type="car" depart="20" from="A1B1" to="B1B2"/>
</routes>
"""
PERSON = '<person id="walker" depart="0"><walk edges="A0B0"/></person>'
CONFIG = """<configuration>
  <input>
    <net-file value="grid.net.xml"/>
    <route-files value="{routes}"/>{additional}
  </input>
  <time><begin value="0"/><end value="60"/></time>
  <output><tripinfo-output value="trips.xml"/></output>
  <report><log value="log.txt"/></report>
  <gui_only><gui-settings-file value="view.xml"/></gui_only>
</configuration>
"""
DETECTORS = """<additional>
  <e1Detector id="d0" lane="A0B0_1" pos="20" period="10" file="detector.xml"/>
</additional>
"""


def require_sumo() -> None:
    """Skip the calling test where SUMO is not installed; importing it here would change the environment."""
    if find_spec("libsumo") is None or find_spec("sumo") is None or find_spec("sumolib") is None:
        pytest.skip("SUMO is not installed (pip install 'fleetlora[sumo]')")


def sumo_tool(name: str, *arguments: str) -> None:
    spec = find_spec("sumo")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    home = Path(next(iter(spec.submodule_search_locations)))
    command = [str(home / "bin" / name), *arguments]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "SUMO_HOME": str(home)})


def make_scenario(folder: Path) -> Path:
    """Write a 3 by 3 grid of 100 m with its demand and return its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    net = folder / "grid.net.xml"
    lights = ("--tls.set", "B1", "--sidewalks.guess")
    sumo_tool("netgenerate", "--grid", "--grid.number", "3", *lights, "--output-file", str(net))
    (folder / "cars.rou.xml").write_text(ROUTES.format(person=PERSON))
    (folder / "detectors.add.xml").write_text(DETECTORS)
    return write_config(folder / "grid.sumocfg", additional="detectors.add.xml")


def write_config(path: Path, routes: str = "cars.rou.xml", additional: str = "") -> Path:
    extra = f'<additional-files value="{additional}"/>' if additional else ""
    path.write_text(CONFIG.format(routes=routes, additional=extra))
    return path
