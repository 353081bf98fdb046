"""SUMO scenarios: what is recorded, the cache, and what a broken scenario says."""

from __future__ import annotations

import gzip
import json
import os
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from fleetlora.assets import resolve
from fleetlora.errors import InputError, MissingDependencyError
from fleetlora.traces import TRACE_SOURCES, RawFixes, TraceSource, sumo_run, sumo_scenario
from fleetlora.traces.sumo_inputs import read_scenario, silenced
from fleetlora.traces.sumo_net import junctions
from fleetlora.traces.sumo_options import FILES, own_name
from fleetlora.traces.sumo_run import Run, simulate
from fleetlora.traces.sumo_scenario import SumoScenario
from tests.large import ABSENT, LARGE
from tests.traces.sumo_making import DETECTORS, make_scenario, require_sumo, sumo_tool, write_config

BOLOGNA = LARGE / "sumo" / "bologna" / "pasubio"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_sumo()
    return make_scenario(tmp_path_factory.mktemp("world"))


@pytest.fixture
def world(made: Path, tmp_path: Path) -> Path:
    """Return the configuration of a copy that the test may change."""
    folder = tmp_path / "world"
    folder.mkdir()
    for path in made.parent.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder / made.name


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what the tests derive out of the user's cache."""
    monkeypatch.setattr(sumo_scenario, "derived_dir", lambda kind: _made(tmp_path / "derived" / kind))
    return tmp_path / "derived" / "sumo"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def read(path: Path | str, **options: object) -> RawFixes:
    return SumoScenario.model_validate({"path": str(path), **options}).read()


def real_scenario(inner: str) -> str:
    try:
        resolve("asset:sumo-rl")
    except InputError as error:
        pytest.skip(f"the asset sumo-rl cannot be fetched: {error.problem}")
    return f"asset:sumo-rl/{inner}"


def never(*_args: object, **_options: object) -> None:
    raise AssertionError("nothing was to be simulated")


def test_every_vehicle_is_recorded_each_second_and_no_person(world: Path) -> None:
    raw = read(world)
    assert set(raw.vehicle) == {"car0", "car1", "car2", "bus0"}
    assert (raw.crs, raw.name) == ("local", "grid")
    own = raw.t_s[raw.vehicle == "car0"]
    assert np.array_equal(np.diff(own), np.ones(len(own) - 1))
    assert len(np.unique(np.stack([raw.t_s, raw.vehicle == "car0", raw.x, raw.y]), axis=1)) == 4


def test_the_source_is_found_by_its_name() -> None:
    assert TRACE_SOURCES.get("sumo") is SumoScenario
    assert isinstance(SumoScenario(path="x"), TraceSource)


def test_period_window_types_and_share_choose_the_fixes(world: Path) -> None:
    whole = read(world)
    part = read(world, begin_s=10, end_s=30, period_s=2, vehicle_types=["car"])
    wanted = (whole.t_s >= 10) & (whole.t_s < 30) & (whole.t_s % 2 == 0) & (whole.vehicle != "bus0")
    assert part.vehicle.tolist() == whole.vehicle[wanted].tolist()
    assert np.array_equal(part.x, whole.x[wanted])


def test_recording_later_does_not_change_the_traffic(world: Path) -> None:
    assert "car0" in read(world, begin_s=5, end_s=10).vehicle


def test_a_shorter_step_moves_and_records_more_often(world: Path) -> None:
    raw = read(world, step_s=0.5, period_s=0.5, end_s=10)
    assert 0.5 in np.diff(raw.t_s[raw.vehicle == "car0"])


def test_scale_multiplies_the_demand(world: Path) -> None:
    assert len(set(read(world, scale=3).vehicle)) > 4


def test_output_is_found_again_whatever_is_chosen_from_it(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read(world)
    monkeypatch.setattr(sumo_scenario, "simulate", never)
    again = read(world)
    assert again.vehicle.tolist() == first.vehicle.tolist()
    assert np.array_equal(again.x, first.x)
    assert set(read(world, vehicle_types=["bus"]).vehicle) == {"bus0"}
    with pytest.raises(AssertionError):
        read(world, seed=7)


def test_a_moved_scenario_is_found_again_and_a_changed_one_is_not(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(world)
    monkeypatch.setattr(sumo_scenario, "simulate", never)
    moved = world.parent.rename(tmp_path / "moved") / world.name
    read(moved)
    routes = moved.parent / "cars.rou.xml"
    routes.write_text(routes.read_text().replace('depart="4"', 'depart="5"'))
    with pytest.raises(AssertionError):
        read(moved)


def test_an_included_file_is_part_of_the_key(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    routes = world.parent / "cars.rou.xml"
    routes.rename(world.parent / "inner.rou.xml")
    routes.write_text('<routes><include href="inner.rou.xml"/></routes>')
    read(world)
    inner = world.parent / "inner.rou.xml"
    inner.write_text(inner.read_text().replace('depart="4"', 'depart="5"'))
    monkeypatch.setattr(sumo_scenario, "simulate", never)
    with pytest.raises(AssertionError):
        read(world)


@pytest.mark.parametrize("harm", ["short", "unrecorded", "unreadable"])
def test_damaged_output_is_made_again(world: Path, cache: Path, harm: str) -> None:
    first = read(world)
    [output] = cache.glob("grid-*/fcd.parquet")
    record = output.with_name("run.json")
    if harm == "short":
        output.write_bytes(output.read_bytes()[:-10])
    elif harm == "unrecorded":
        record.unlink()
    else:
        record.write_text("{")
    assert np.array_equal(read(world).x, first.x)
    assert json.loads(record.read_text())["bytes"] == output.stat().st_size


def test_nothing_is_written_beside_the_scenario(world: Path) -> None:
    before = sorted(path.name for path in world.parent.iterdir())
    (world.parent / "trips.xml").write_text("mine")
    (world.parent / "detector.xml").write_text("mine")
    read(world)
    assert (world.parent / "trips.xml").read_text() == "mine"
    assert (world.parent / "detector.xml").read_text() == "mine"
    after = {path.name for path in world.parent.iterdir()} - {"trips.xml", "detector.xml"}
    assert sorted(after) == before


WRITING_OPTIONS = (
    "tripinfo", "summary", "vehroutes", "netstate", "ndump", "personinfo", "person-fcd", "statistics-output",
    "save-configuration", "save-config", "C", "save-template", "save-schema", "log-file", "l",
    "device.ssm.file",
)  # fmt: skip


def test_options_that_write_are_left_out_by_whatever_name(world: Path) -> None:
    plain = read_scenario(world)
    mine = world.parent / "mine.txt"
    mine.write_text("mine")
    writing = (
        "".join(f'<{name} value="{mine}"/>' for name in WRITING_OPTIONS) + '<write-license value="true"/>'
    )
    world.write_text(world.read_text().replace("</configuration>", f"{writing}</configuration>"))
    assert read_scenario(world).options == plain.options
    assert len(read(world)) > 0
    assert mine.read_text() == "mine"


def test_no_option_of_the_installed_sumo_that_names_a_file_is_passed_on_unknown(world: Path) -> None:
    template = world.parent / "template.xml"
    sumo_tool("sumo", "--save-template", str(template), "--save-commented")
    declared = re.findall(
        r'<(\S+) value="[^"]*"(?: synonymes="([^"]*)")?.* type="FILE"', template.read_text()
    )
    files = [name for own, others in declared for name in (own, *others.split())]
    assert {"net-file", "n", "tripinfo", "save-config", "c"} < set(files)
    passed_on = set()
    for name in files:
        with suppress(KeyError):
            passed_on.add(own_name(name))
    assert passed_on == {None, *FILES}


@pytest.mark.parametrize(
    "option",
    ["configuration-file", "configuration", "c", "load-state", "astar.landmark-distances", "x-files"],
)
def test_an_option_that_loads_unseen_contents_or_is_unknown_is_refused(world: Path, option: str) -> None:
    world.write_text(world.read_text().replace("</input>", f'</input><{option} value="inner"/>'))
    with pytest.raises(InputError, match=rf"grid\.sumocfg: has the option '{option}'"):
        read_scenario(world)


def test_old_names_of_options_mean_todays(world: Path) -> None:
    text = world.read_text().replace("net-file", "n").replace("route-files", "routes")
    former = '<device.routing.period value="5"/><device.rerouting.knownveh value="car0"/><srand value="4"/>'
    world.write_text(text.replace("</configuration>", f"{former}</configuration>"))
    scenario = read_scenario(world)
    assert scenario.net == world.parent / "grid.net.xml"
    assert scenario.options["device.rerouting.period"] == "5"
    assert scenario.options["device.rerouting.explicit"] == "car0"
    assert scenario.options["seed"] == "4"


def _victim(folder: Path) -> str:
    """Return an attribute's value: the full path of a file of the user's."""
    mine = folder / "mine.txt"
    mine.write_text("mine")
    return str(mine)


@pytest.mark.parametrize("how", ["included", "included twice", "packed", "net", "ssm", "calibrator", "light"])
def test_contents_that_write_are_silenced_wherever_they_lie(world: Path, how: str) -> None:
    folder = world.parent
    mine = _victim(folder)
    detector = f'<e1Detector id="d1" lane="A0B0_1" pos="30" period="5" file="{mine}"/>'
    ssm = "".join(
        f'<param key="{key}" value="{value}"/>'
        for key, value in (("has.ssm.device", "true"), ("device.ssm.file", mine), ("device.ssm.range", "200"))
    )
    cars, additional = folder / "cars.rou.xml", folder / "detectors.add.xml"
    if how in ("included", "included twice"):
        (folder / "inner.xml").write_text(f"<additional>{detector}</additional>")
        (folder / "middle.xml").write_text('<additional><include href="inner.xml"/></additional>')
        href = "inner.xml" if how == "included" else "middle.xml"
        additional.write_text(f'<additional><include href="{href}"/></additional>')
    elif how == "packed":
        additional.write_bytes(gzip.compress(f"<additional>{detector}</additional>".encode("utf-16")))
    elif how == "net":
        net = folder / "grid.net.xml"
        net.write_text(net.read_text().replace("</net>", f"{detector}</net>"))
    elif how == "ssm":
        cars.write_text(cars.read_text().replace('length="4.3"/>', f'length="4.3">{ssm}</vType>'))
    elif how == "calibrator":
        (folder / "flows.xml").write_text(f'<calibrator><vType id="late">{ssm}</vType></calibrator>')
        calibrator = f'<calibrator id="c" edge="A0B0" pos="0" file="flows.xml" output="{mine}"/>'
        additional.write_text(f"<additional>{calibrator}</additional>")
    else:
        light = '<tlLogic id="B1" programID="own" type="actuated">{}</tlLogic>'
        phase = '<phase duration="9" minDur="5" maxDur="20" state="{}"/>'
        green = re.search(r'<phase [^>]*state="(\w+)"', (folder / "grid.net.xml").read_text())
        assert green
        inside = f'<param key="file" value="{mine}"/><param key="freq" value="1"/>{phase.format(green[1])}'
        additional.write_text(f"<additional>{light.format(inside)}</additional>")
    before = sorted(path.name for path in folder.iterdir())
    assert "car0" in read(world).vehicle
    assert Path(mine).read_text() == "mine"
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_document_type_is_refused_as_it_may_pull_in_anything(world: Path) -> None:
    routes = world.parent / "cars.rou.xml"
    routes.write_text(f'<!DOCTYPE routes SYSTEM "routes.dtd">{routes.read_text()}')
    with pytest.raises(InputError, match=r"cars\.rou\.xml: declares a document type"):
        read_scenario(world)


def test_an_include_of_nothing_is_refused(world: Path) -> None:
    (world.parent / "detectors.add.xml").write_text('<additional><include href="gone.xml"/></additional>')
    with pytest.raises(InputError, match=r"detectors\.add\.xml: <include> reads 'gone\.xml', which does not"):
        read_scenario(world)


def test_a_variable_that_is_not_set_is_refused(world: Path) -> None:
    world.write_text(world.read_text().replace("grid.net.xml", "${NO_SUCH_TOWN}grid.net.xml"))
    with pytest.raises(InputError, match="net-file names a variable that is not set"):
        read_scenario(world)


def test_the_environment_and_the_terminal_are_left_alone(
    world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = dict(os.environ)
    read(world)
    assert dict(os.environ) == before
    assert capfd.readouterr() == ("", "")


def test_progress_reaches_the_end(world: Path) -> None:
    seen: list[tuple[float, float | None]] = []
    SumoScenario(path=str(world), end_s=40).read(lambda at_s, end_s: seen.append((at_s, end_s)))
    assert seen[-1] == (40.0, 40.0)
    assert [at_s for at_s, _ in seen] == sorted(at_s for at_s, _ in seen)


def test_a_scenario_without_an_end_runs_until_all_have_arrived(world: Path) -> None:
    world.write_text(world.read_text().replace('<end value="60"/>', '<end value="10"/>'))
    short = read(world)
    world.write_text(world.read_text().replace('<end value="10"/>', ""))
    whole = read(world)
    assert short.t_s.max() < 10
    assert 40 < whole.t_s.max() < 100
    assert set(whole.vehicle) == {"car0", "car1", "car2", "bus0"}


def test_sumos_warnings_are_kept_with_the_output(world: Path, cache: Path) -> None:
    routes = world.parent / "cars.rou.xml"
    unordered = '<trip id="late" type="car" depart="1" from="A0B0" to="C1C2"/></routes>'
    routes.write_text(routes.read_text().replace("</routes>", unordered))
    read(world)
    [record] = cache.glob("grid-*/run.json")
    assert "late" in " ".join(json.loads(record.read_text())["warnings"])


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ({"period_s": 1.5}, "no multiple of the simulation step"),
        ({"period_s": 0.5}, "no multiple of the simulation step"),
        ({"begin_s": 60}, "not after its begin"),
        ({"begin_s": 10, "end_s": 5}, "not after its begin"),
        ({"begin_s": 58, "vehicle_types": ["tram"]}, "was kept"),
    ],
)
def test_an_option_that_records_nothing_is_refused(
    world: Path, option: dict[str, object], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        read(world, **option)


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("grid.sumocfg", "grid.net.xml", "gone.net.xml", r"net-file names .*gone\.net\.xml, which does not"),
        ("grid.sumocfg", "cars.rou.xml", "gone.rou.xml", "route-files names"),
        ("grid.sumocfg", "detectors.add.xml", "gone.xml", "additional-files names"),
        ("grid.sumocfg", '<net-file value="grid.net.xml"/>', "", "names no network"),
        ("grid.sumocfg", "</configuration>", "", r"grid\.sumocfg:\d+: not a SUMO configuration"),
        ("grid.sumocfg", '<begin value="0"/>', '<begin value="soon"/>', "begin is 'soon'"),
        (
            "grid.sumocfg",
            "</input>",
            '</input><wibble value="3"/>',
            r"has the option 'wibble', which is unknown",
        ),
        ("cars.rou.xml", "</routes>", "", r"cars\.rou\.xml:\d+: damaged XML"),
        ("cars.rou.xml", 'to="B1B2"', 'to="Z9"', "Z9"),
        ("grid.net.xml", "</net>", "", r"grid\.net\.xml:\d+: damaged XML"),
        ("grid.net.xml", "<location", "<place", "has no <location>"),
        ("detectors.add.xml", "A0B0_1", "Z9_0", "Z9_0"),
    ],
)
def test_a_broken_scenario_is_an_error_that_names_the_fault(
    world: Path, cache: Path, file: str, old: str, new: str, problem: str
) -> None:
    path = world.parent / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=problem) as caught:
        read(world)
    assert str(world.parent) in str(caught.value)
    assert "scratch" not in str(caught.value)
    assert [path for path in cache.parent.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_a_crash_of_sumo_is_an_error_and_not_our_end(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    abort = "import os, sys; sys.stdin.read(); print('{\"at\": 3.0}', flush=True); os.abort()"
    monkeypatch.setattr(sumo_run, "_WORKER", ("-c", abort))
    with pytest.raises(InputError, match=r"crashed at simulated second 3\.0") as caught:
        read(world)
    assert "grid.net.xml" in (caught.value.mend or "")
    monkeypatch.undo()


def test_an_interrupt_stops_sumo_and_leaves_nothing(world: Path, cache: Path) -> None:
    def interrupt(_at_s: float, _end_s: float | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SumoScenario(path=str(world)).read(interrupt)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_output_that_is_no_parquet_is_refused(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = 'import sys; sys.stdin.read(); print(\'{"done": "SUMO", "at": 3.0}\')'
    monkeypatch.setattr(sumo_run, "_WORKER", ("-c", done))
    with pytest.raises(InputError, match="no whole Parquet"):
        read(world)


def test_a_libsumo_that_does_not_load_is_named(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_library = 'import sys; sys.stdin.read(); print(\'{"error": "libsumo cannot be loaded: libX11"}\')'
    monkeypatch.setattr(sumo_run, "_WORKER", ("-c", no_library))
    with pytest.raises(MissingDependencyError, match="libX11"):
        read(world)


def test_missing_sumo_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError) as caught:
        read(write_config(tmp_path / "a.sumocfg"))
    assert caught.value.mend == "pip install 'fleetlora[sumo]'"


def test_detectors_in_a_copy_write_nowhere_and_the_original_is_untouched(world: Path) -> None:
    scenario = read_scenario(world)
    assert (world.parent / "detectors.add.xml").read_text() == DETECTORS
    assert [path.name for path in scenario.inputs] == ["detectors.add.xml", "grid.net.xml", "cars.rou.xml"]
    assert "tripinfo-output" not in scenario.options
    assert "log" not in scenario.options


def test_variables_of_the_environment_are_filled_in(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWN", "grid")
    world.write_text(world.read_text().replace("grid.net.xml", "${TOWN}.net.xml"))
    assert read_scenario(world).net == world.parent / "grid.net.xml"


def test_degrees_and_metres_of_a_real_scenario_are_the_same_places(tmp_path: Path) -> None:
    require_sumo()
    config = resolve(real_scenario("cologne3/cologne3.sumocfg"))
    scenario = read_scenario(config)
    positions = {}
    for geo in (False, True):
        folder, scratch = _made(tmp_path / f"out{geo}"), _made(tmp_path / f"scratch{geo}")
        simulate(scenario, Run(25200.0, 25260.0, 5.0, 1.0, None, None, geo), folder, scratch)
        table = pq.read_table(folder / "fcd.parquet").drop_null()
        positions[geo] = (table["vehicle_x"].to_numpy(), table["vehicle_y"].to_numpy())
    import sumolib.net

    net = sumolib.net.readNet(str(scenario.net))
    lon, lat = net.convertXY2LonLat(*map(np.copy, positions[False]))
    np.testing.assert_allclose(lon, positions[True][0], atol=1e-8)
    np.testing.assert_allclose(lat, positions[True][1], atol=1e-8)


def test_a_real_scenario_drives_past_its_own_junctions(tmp_path: Path) -> None:
    require_sumo()
    path = real_scenario("cologne3/cologne3.sumocfg")
    raw = read(path, end_s=25320, period_s=2)
    assert raw.crs == "EPSG:4326"
    assert len(set(raw.vehicle)) > 80
    assert raw.t_s.min() >= 25200
    assert raw.t_s.max() < 25320
    lights = junctions(path)
    assert lights.crs == raw.crs
    assert lights.signalised.sum() == 3
    assert lights.signalised[:3].all()
    metres_per_degree = np.array([111_320 * np.cos(np.radians(50.92)), 111_320])
    places = np.stack([raw.x, raw.y], axis=1)
    for place in np.stack([lights.x[:3], lights.y[:3]], axis=1):
        assert np.hypot(*((places - place) * metres_per_degree).T).min() < 30


def test_bologna_with_detectors_and_buses_runs_and_stays_clean() -> None:
    require_sumo()
    if not BOLOGNA.is_dir():
        pytest.skip(ABSENT)
    before = {path.name for path in BOLOGNA.iterdir()}
    raw = read(BOLOGNA / "run.sumocfg", end_s=120, period_s=2)
    assert len(set(raw.vehicle)) > 200
    assert {path.name for path in BOLOGNA.iterdir()} == before


def test_a_silenced_copy_still_finds_what_its_elements_read(world: Path, tmp_path: Path) -> None:
    folder = world.parent
    (folder / "signs.xml").write_text('<variableSpeedSign><step time="0" speed="5"/></variableSpeedSign>')
    sign = '<variableSpeedSign id="s" lanes="A0B0_1" file="signs.xml"/>'
    (folder / "detectors.add.xml").write_text(DETECTORS.replace("</additional>", f"{sign}</additional>"))
    scenario = read_scenario(world)
    assert folder / "signs.xml" in scenario.inputs
    [(original, copy)] = silenced(scenario, tmp_path).items()
    assert original == folder / "detectors.add.xml"
    assert copy.parent == tmp_path
    assert 'file="NUL"' in copy.read_text()
    assert f'file="{folder / "signs.xml"}"' in copy.read_text()
    slow = read(world)
    (folder / "signs.xml").write_text('<variableSpeedSign><step time="0" speed="14"/></variableSpeedSign>')
    assert len(read(world)) < len(slow)


def test_a_cut_off_additional_file_is_named(world: Path) -> None:
    (world.parent / "detectors.add.xml").write_text(DETECTORS[:40])
    with pytest.raises(InputError, match=r"detectors\.add\.xml:\d+: damaged XML"):
        read(world)
