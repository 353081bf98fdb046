"""The bench of faults on a tiny experiment."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from pydantic import ValidationError

from fleetlora.bench import BENCHES
from fleetlora.bench.faults import Faults
from fleetlora.config import load_experiment
from fleetlora.console import Quiet
from fleetlora.faults import FAULTS

PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text("utf-8")


@pytest.mark.slow
def test_every_case_is_played_and_its_books_are_right(tiny: dict[str, Any], tmp_path: Path) -> None:
    values = copy.deepcopy(tiny) | {"method": "ucb-dual", "budget": {"total_j": 400.0}}
    file = tmp_path / "tiny.toml"
    file.write_text(tomli_w.dumps(values))
    bench = Faults(source=str(file), kinds=("packet_loss", "all"), overrides=("round.count=2",))
    measured = bench.measure(Quiet())
    json.dumps(measured, allow_nan=False)
    cases = {(case["fault"], case["level"]): case for case in measured["cases"]}
    assert len(cases) == 5
    assert cases["none", "off"]["events"] == {}
    assert cases["none", "off"]["accuracy_change"] == 0.0
    assert len({case["digests"][0] for case in cases.values()}) == 5
    assert all(case["overdraw_j"] == 0.0 for case in cases.values())
    assert all(case["ledger_error_j"] < 1e-9 for case in cases.values())
    assert set(cases["packet_loss", "harsh"]["events"]) == {"packet_loss"}
    assert len(list(bench.lines(measured))) == 6


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match="did you mean 'reboot'"):
        BENCHES.get("faults").model_validate({"kinds": ["rebot"]})  # type: ignore[attr-defined]


def test_what_the_page_sets_is_valid() -> None:
    commands = re.findall(r"^    fleetlora run (\S+) --set (faults\S+)$", PAGE, flags=re.MULTILINE)
    assert len(commands) == 2
    for source, override in commands:
        assert len(load_experiment(source, overrides=[override]).faults.on) == 1
    assert "    fleetlora bench faults --json" in PAGE


def test_the_page_tells_of_every_fault() -> None:
    section = PAGE.split("## Faults\n")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)) == sorted(FAULTS)
