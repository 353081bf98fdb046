"""Killed runs end as whole ones do."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from fleetlora.bench import BENCHES
from fleetlora.bench.crash import Crash
from fleetlora.console import Quiet


@pytest.mark.slow
def test_runs_killed_at_random_and_while_writing_lose_nothing(tiny: dict[str, Any], tmp_path: Path) -> None:
    values = copy.deepcopy(tiny) | {"method": "ucb-dual", "round": {"count": 12, "period_s": 5.0}}
    values |= {"evaluation": {"head_only": False}, "training": {**tiny["training"], "steps": 2}}
    file = tmp_path / "tiny.toml"
    file.write_text(tomli_w.dumps(values))
    bench = Crash(source=str(file), kills=8, writing=3)
    measured = bench.measure(Quiet())
    assert measured["equal_digests"] == 8
    assert measured["lost_rounds"] == 0
    assert measured["rounds"] == 12
    assert len({kill["after_s"] for kill in measured["kills"]}) == 8
    assert next(bench.lines(measured)).startswith("8 of 8")


def test_the_bench_is_found_by_its_name() -> None:
    assert BENCHES.get("crash") is Crash
