"""Every command and every Python block of the README is run, on real inputs but few rounds."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fleetlora.config import load_experiment, to_toml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")

#: Laid over every documented run, so that it ends in seconds.
SHORTER = [
    "--set=round.count=1",
    "--set=evaluation.head_only=false",
    "--set=sites.count=4",
    "--set=tasks.newsgroups.encoding.max_test=60",
    "--set=tasks.reuters.encoding.max_test=60",
    "--set=admission.vehicles_per_task=1",
    "--set=training.steps=1",
]


def documented_commands() -> list[str]:
    lines = re.findall(r"^    (fleetlora [^\n]*)$", README, flags=re.MULTILINE)
    return [line.split("  #")[0].split("   ")[0].strip() for line in lines]


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def _cabs(folder: Path, n_cabs: int = 60) -> None:
    """Save cabs in Cabspotting's own form: newest fix first, each driving up and down a street of its own."""
    folder.mkdir()
    for cab in range(n_cabs):
        lines = []
        for minute in range(61):
            s = (cab * 13 + minute * (3 + cab % 4)) % 100
            along = s if s < 50 else 100 - s
            lat, lon = 37.70 + 0.002 * cab, -122.45 + 0.001 * along
            lines.append(f"{lat:.5f} {lon:.5f} {cab % 2} {1_212_649_200 + 60 * minute}")
        (folder / f"new_cab{cab:02d}.txt").write_text("\n".join(reversed(lines)) + "\n")


def _taxis(path: Path) -> None:
    import gzip

    rows = [
        f"t{v},{1_600_000_000 + 20 * i},{52.2 + 2e-4 * i:.5f},{21 + 1e-3 * v:.5f}"
        for v in range(4)
        for i in range(30)
    ]
    path.write_bytes(gzip.compress(("vehicle,t,lat,lon\n" + "\n".join(rows) + "\n").encode()))


def _run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False)


def test_the_readme_documents_the_commands() -> None:
    commands = documented_commands()
    assert len(commands) >= 6
    assert len(python_blocks()) == 2


def test_every_command_of_the_table_exists() -> None:
    from typer.main import get_command

    from fleetlora.cli import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"\| `fleetlora ([\w-]+)", README)) | set(
        re.findall(r"`fleetlora ([\w-]+) PRESET", README)
    )
    assert named <= known
    assert known <= named | {"config"}, "a command is missing in the README"


@pytest.mark.slow
@pytest.mark.parametrize("line", documented_commands())
def test_a_documented_command_works(
    line: str, tmp_path: Path, real_inputs: None, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cabs(tmp_path / "cabspottingdata")
    _taxis(tmp_path / "taxis.csv.gz")
    monkeypatch.chdir(tmp_path)
    command, _, into = line.partition(" > ")
    words = shlex.split(command)[1:]
    if words[0] in ("run", "compare"):
        words += SHORTER
    if words[0] == "compare":
        words += ["--jobs=1"]  # the tests have both cores; starting processes costs more than such runs
    status, said, complained = call(*words)
    assert status == 0, complained
    assert said
    assert not into or "warsaw" in said


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_a_python_block_works(number: int, tmp_path: Path, real_inputs: None) -> None:
    small = load_experiment("warsaw-small", overrides=[word.removeprefix("--set=") for word in SHORTER])
    (tmp_path / "small.toml").write_text(to_toml(small), "utf-8")
    file = tmp_path / "example.py"
    file.write_text(python_blocks()[number].replace('"warsaw-small"', '"small.toml"'))
    done = _run([sys.executable, str(file)], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_tuning_of_the_compare_page_works(
    tmp_path: Path, real_inputs: None, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "compare.md").read_text("utf-8")
    commands = re.findall(r"^    fleetlora (compare [^\n]*tun[^\n]*)$", text, flags=re.MULTILINE)
    assert len(commands) == 2
    monkeypatch.chdir(tmp_path)
    for command in commands:
        status, _, complained = call(*shlex.split(command), *SHORTER, "--jobs=1")
        assert status == 0, complained
    assert (tmp_path / "runs" / "compare-warsaw-small" / "report.html").exists()


def test_make_explains_itself() -> None:
    said = _run(["make"], ROOT).stdout
    for target in ("demo", "test", "check", "help"):
        assert f"make {target}" in said
