"""What docs/planning.md, reading.md, physics.md and architecture.md say is true, and their commands work."""

from __future__ import annotations

import ast
import copy
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli_w

import fleetlora
from fleetlora.config import SiteSection, load_experiment
from fleetlora.physics import Umi
from fleetlora.records import Run
from fleetlora.records.schemas import ALL_TABLES
from fleetlora.roadside import PLACEMENTS, Association
from fleetlora.roadside.points import _COLUMNS, read_points
from tests.physics.test_docs import rows, show

ROOT = Path(__file__).parents[1]
PLANNING, READING, PHYSICS, ARCHITECTURE = (
    (ROOT / "docs" / f"{name}.md").read_text("utf-8")
    for name in ("planning", "reading", "physics", "architecture")
)


def commands(page: str) -> list[str]:
    return re.findall(r"^    fleetlora ([^\n]*)$", page, flags=re.MULTILINE)


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


def table(page: str, first: str) -> list[str]:
    """Return the rows of the table whose heading row begins so."""
    lines = page.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(first)) + 2
    end = next(i for i in range(begin, len(lines)) if not lines[i].startswith("|"))
    return lines[begin:end]


# Every command, on a tiny experiment in the presets' place ---------------------------------------------


@pytest.fixture
def tiny_presets(tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a file of each preset's name that is tiny."""
    values = {
        **copy.deepcopy(tiny),
        "sites": {"placement": "greedy", "count": 3},
        "round": {"count": 6, "period_s": 20.0, "sync_every": 1, "patience": 3.0},
        "evaluation": {"every": 1, "head_only": False},
    }
    monkeypatch.chdir(tmp_path)
    for preset in ("warsaw", "warsaw-small"):
        Path(f"{preset}.toml").write_text(tomli_w.dumps(values), "utf-8")


def _played(call: Any, page: str) -> None:
    """Play a page's commands one after the other."""
    for command in commands(page):
        line, _, into = command.partition(" > ")
        words = [f"{word}.toml" if word in ("warsaw", "warsaw-small") else word for word in shlex.split(line)]
        words += {"compare": ["--jobs=1"], "run": ["--no-report"]}.get(words[0], [])
        said = call(*words)
        assert said.status == 0, (command, said.err)
        if into:
            Path(into.strip()).write_text(said.out, "utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_presets")
def test_the_planning_page_works_from_beginning_to_end(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(commands(PLANNING)) == 5
    _played(call, PLANNING)
    page: dict[str, Any] = {}
    exec(compile(blocks(PLANNING, "python")[1], "docs/planning.md", "exec"), page)
    ends = page["run"].result["updates"]
    assert page["updates"]["failed"].sum() == ends["abandoned"] + ends["lost"]
    said = capsys.readouterr().out
    assert all(column in said for column in ("contact_s", "updates", "radio_j", "rsu-"))
    assert fleetlora.open_run("runs/larger").result["learner"]["kind"] == "curve"


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_presets")
def test_the_commands_of_the_physics_page_work(call: Any) -> None:
    assert len(commands(PHYSICS)) == 2
    _played(call, PHYSICS)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_presets")
def test_the_reading_page_works(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(commands(READING)) == 1
    _played(call, READING)
    (code,) = blocks(READING, "python")
    exec(compile(code, "docs/reading.md", "exec"), {})
    assert "spent_j" in capsys.readouterr().out


# docs/planning.md --------------------------------------------------------------------------------------


def test_the_table_of_sites_is_valid() -> None:
    (text,) = blocks(PLANNING, "toml")
    section = SiteSection.model_validate(tomllib.loads(text)["sites"])
    plain = PLACEMENTS.get("corridor")(count=16, candidates="masts.csv")
    assert (section.options, section.association) == (plain, Association())  # it shows the defaults


def test_every_placement_is_listed_with_every_key() -> None:
    wanted = []
    for name in ("points", "grid", "greedy", "corridor", "sumo-junctions"):
        for key, field in PLACEMENTS.get(name).model_fields.items():  # type: ignore[attr-defined]
            default = "required" if field.is_required() else show(field.default)
            unit = field.json_schema_extra["unit"]
            wanted.append(f"| `{name}` | `{key}` | {default} | {unit} | {field.description} |")
    assert table(PLANNING, "| `placement` | key |") == wanted
    listed = [row.split("`")[1] for row in table(PLANNING, "| `placement` | where")]
    assert sorted(listed) == PLACEMENTS.names()


def test_association_is_listed_with_its_sources() -> None:
    assert table(PLANNING, "| key | default | unit | meaning | source |") == rows(Association)


def test_the_radius_of_coverage_is_that_of_the_radio() -> None:
    head, radius = (
        re.findall(rf"^\| {first}[^|]*\|(.*)\|$", PLANNING, flags=re.MULTILINE)[0].split("|")
        for first in ("`sites.association.min_sinr_db`", "radius, m")
    )
    assert [f"{Umi().coverage_m(float(sinr)):.0f}" for sinr in head] == [value.strip() for value in radius]


def test_every_header_of_places_is_named() -> None:
    aliases = {alias for names in _COLUMNS.values() for alias in names}
    assert {alias for alias in aliases if f"`{alias}`" not in PLANNING} == set()


def test_stops_of_a_timetable_and_geojson_are_read_as_the_page_says(tmp_path: Path) -> None:
    stops = tmp_path / "stops.txt"
    stops.write_text('stop_id,stop_name,stop_lat,stop_lon\n7,"Plac, north",52.23,21.01\n8,,52.24,21.02\n')
    assert read_points(stops, "EPSG:32634").name.tolist() == ["Plac, north", "rsu-1"]
    mast = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [21.01, 52.23]}}
    other = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [21.02, 52.23]}}
    features = [{**mast, "properties": {"name": "mast"}}, {**other, "id": "m2"}]
    masts = tmp_path / "masts.geojson"
    masts.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert read_points(masts, "EPSG:32634").name.tolist() == ["mast", "m2"]


def test_numbers_about_budgets_are_those_on_record() -> None:
    benchmarks = ROOT / "benchmarks"
    demo = json.loads((benchmarks / "demo.json").read_text("utf-8"))
    spent_j, budget_j = demo["energy_j"]["total"], sum(task["budget_j"] for task in demo["tasks"].values())
    said = " ".join(PLANNING.split())
    assert f"{spent_j:,.0f} J of its {budget_j:,.0f} J" in said
    budgets = json.loads((benchmarks / "headline" / "budgets.json").read_text("utf-8"))
    assert f"{budgets['cities']['warsaw']['mean_j']:,.0f} J" in said


@pytest.mark.slow
def test_placements_are_compared_as_the_page_shows(real_inputs: None, tmp_path: Path) -> None:
    (tmp_path / "compare.py").write_text(blocks(PLANNING, "python")[0], "utf-8")
    done = subprocess.run(
        [sys.executable, "compare.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == blocks(PLANNING, "text")[0]
    again = load_experiment("warsaw", overrides=["sites={placement = 'points', path = 'plan.csv'}"])
    assert again.sites.component == "points"
    assert len(read_points(tmp_path / "plan.csv", "EPSG:32634")) == 16


# docs/reading.md ---------------------------------------------------------------------------------------

KINDS = {"i8": "int8", "i32": "int32", "i64": "int64", "f64": "float64", "bool": "bool", "str": "text"}


def _unit(column: str) -> str:
    if column.endswith("_s"):
        return "s"
    if column.endswith("_j") or column == "joules":
        return "J"
    return "byte" if column.startswith("bytes_") else "-"


@pytest.mark.parametrize("name", ALL_TABLES)
def test_every_column_of_every_table_is_listed(name: str) -> None:
    wanted = [
        f"| `{column.name}` | {KINDS[column.kind]}{' or null' if column.nullable else ''} "
        f"| {_unit(column.name)} | {column.meaning} |"
        for column in ALL_TABLES[name]
    ]
    part = READING[READING.index(f"### `{name}.parquet`") :]
    assert table(part, "| column |") == wanted


@pytest.fixture(scope="module")
def finished(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    values = {**copy.deepcopy(tiny), "round": {"count": 2}}
    return fleetlora.run(values, tmp_path_factory.mktemp("reading") / "run", report=False)


def _keys(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping) and above + key != "host.versions":
            yield from _keys(value, f"{above}{'TASK' if above == 'tasks.' else key}.")
        else:
            yield above + key


def test_every_key_of_the_result_is_listed(finished: Run) -> None:
    told = set(re.findall(r"`([^`]+)`", "\n".join(table(READING, "| key | meaning |"))))
    for key in _keys(finished.result):
        assert key in told or key.removeprefix("updates.").removeprefix("host.") in told, key


def test_vehicles_and_rsus_are_counted_as_the_page_says(finished: Run) -> None:
    result, tasks = finished.result, finished.result["tasks"].values()
    ledger = finished.ledger
    of_rsus = ledger.filter(ledger["phase"].cast(str) == "rsu")
    assert (of_rsus["vehicle"] == -1).all()
    assert result["energy_j"]["total"] == pytest.approx(sum(task["energy_j"] for task in tasks))
    assert result["energy_j"]["rsu"] == pytest.approx(of_rsus["joules"].sum())
    assert result["energy_j"]["total"] + result["energy_j"]["rsu"] == pytest.approx(ledger["joules"].sum())
    counts = result["updates"]
    ends = [counts[outcome] for outcome in ("delivered", "early", "handed_off", "abandoned", "lost")]
    assert (sum(ends), sum(ends[:3])) == (counts["started"], counts["arrived"])


def test_heads_alone_are_trained_by_default_and_need_not_be(tiny: dict[str, Any], finished: Run) -> None:
    assert load_experiment(tiny).evaluation.head_only
    assert all(task["accuracy_head_only"] is not None for task in finished.result["tasks"].values())


def test_every_figure_of_the_report_is_listed(finished: Run) -> None:
    from fleetlora.report.figures import all_figures

    wanted = [f"| {figure.title} | `{figure.name}` |" for figure in all_figures(finished)]
    listed = table(READING, "| figure |")
    assert [row for row, begin in zip(listed, wanted, strict=True) if not row.startswith(begin)] == []


# docs/physics.md ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", sorted(set(re.findall(r"--set ([a-z_]+\.[^\s`]+)", PHYSICS))))
def test_every_setting_shown_is_valid(setting: str) -> None:
    above = ["radio.model=single-slope"] if setting.startswith("radio.exponent") else []
    load_experiment("warsaw", overrides=[*above, setting])


def test_every_section_of_the_physical_world_is_listed() -> None:
    listed = [row.split("`")[1].strip("[]") for row in table(PHYSICS, "| section |")]
    physical = ["radio", "shadowing", "sampling", "devices", "energy", "rsu_power", "backhaul"]
    assert listed == [*physical, "sites.association"]
    assert all(name in fleetlora.Experiment.model_fields for name in physical)


def test_a_fleet_of_ones_own_is_valid() -> None:
    (text,) = blocks(PHYSICS, "toml")
    (only,) = load_experiment({"extends": "warsaw", **tomllib.loads(text)}).devices
    assert only.name == "measured"


def test_each_minimum_sinr_does_what_the_page_says() -> None:
    plain, deaf = Umi(), Umi(min_sinr_db=0.0)
    assert plain.coverage_m(-6.0) == deaf.coverage_m(-6.0)
    assert (plain.min_sinr_db, Association().min_sinr_db) == (-10.0, -6.0)
    assert deaf.spectral_efficiency(-1.0) == 0 < plain.spectral_efficiency(-1.0)


# docs/architecture.md ----------------------------------------------------------------------------------

SOURCE = ROOT / "src" / "fleetlora"
PACKAGES = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))


def _imports(package: str) -> set[str]:
    """Return the other packages that a package's modules import, at their head or inside a function."""
    found = set()
    for path in (SOURCE / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            found |= {name.split(".")[1] for name in names if name.startswith("fleetlora.")}
    return found & set(PACKAGES) - {package}


def test_every_package_is_listed_with_what_it_imports() -> None:
    listed = {}
    for row in table(ARCHITECTURE, "| package |"):
        name, _, others = row.strip("|").split(" | ")
        listed[name.strip(" `")] = set(re.findall(r"`(\w+)`", others))
    assert listed == {package: _imports(package) for package in PACKAGES}


def test_every_module_that_is_named_exists() -> None:
    for name in re.findall(r"`([\w*]+\.py)`", "\n".join(table(ARCHITECTURE, "| module |"))):
        assert list(SOURCE.glob(name)), name


# docs/traces.md ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_buses_of_warsaw_are_counted_as_the_page_says(real_inputs: None) -> None:
    from fleetlora.assets import resolve
    from fleetlora.config import load_traces
    from fleetlora.traces import load_tracks

    rows_ = table((ROOT / "docs" / "traces.md").read_text("utf-8"), "| count | buses |")
    snapshots = [path.read_text("utf-8") for path in Path(resolve("asset:warsaw-buses")).glob("data_*.txt")]
    buses = [{line.split("\t")[2] for line in text.splitlines()} for text in snapshots]
    sizes = [len(one) for one in buses]
    assert f"lists {min(sizes):,} to {max(sizes):,} of them | {len(set.union(*buses)):,} |" in rows_[0]
    section = load_traces("warsaw")
    tracks, account = load_tracks(section.options, section.cleaning)
    assert f"{tracks.n_vehicles:,} of {len(set.union(*buses)):,} vehicles" in str(account)
    assert f"| {tracks.n_vehicles:,} |" in rows_[1]
    assert tracks.window(175.0, 1495.0).n_vehicles == tracks.n_vehicles
    present = [int(tracks.at(float(t)).present.sum()) for t in range(180, 1441, 5)]
    assert f"| {min(present):,} to {max(present):,} |" in rows_[2]
