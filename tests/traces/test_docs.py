"""What docs/traces.md shows is true: its tables load, its code runs, its keys exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from fleetlora.traces import TRACE_SOURCES, Cleaning

PAGE = (Path(__file__).parents[2] / "docs" / "traces.md").read_text("utf-8")
TOML = re.findall(r"^```toml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", TOML)
def test_every_table_shown_is_valid(text: str) -> None:
    options = tomllib.loads(text)["traces"]
    source, cleaning = TRACE_SOURCES.get(options.pop("source")), Cleaning(**options.pop("cleaning", {}))
    window = {"start_s", "duration_s"}
    assert isinstance(cleaning, Cleaning)
    assert source(**{key: value for key, value in options.items() if key not in window})


@pytest.mark.parametrize("code", PYTHON)
def test_the_code_shown_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = (f"cab,{1212649200 + 30 * i},{37.75 + 0.001 * i},-122.4" for i in range(9))
    Path("cabs.csv").write_text("vehicle,t,lat,lon\n" + "\n".join(rows) + "\n")
    monkeypatch.setattr(TRACE_SOURCES, "_items", dict(TRACE_SOURCES._items))
    exec(compile(code, "docs/traces.md", "exec"), {"__name__": "docs"})


def test_every_key_of_cleaning_is_explained_with_its_default() -> None:
    for key, field in Cleaning.model_fields.items():
        shown = "" if field.default is None else f" = {field.default:,g}"
        assert f"`{key}`{shown}" in PAGE or f"`{key} =" in PAGE, key


def test_every_source_is_listed() -> None:
    for name in TRACE_SOURCES.names():
        assert f"| `{name}` |" in PAGE, name
