"""The tables of docs/results.md are those of the recorded results."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEADLINE = ROOT / "benchmarks" / "headline"


def test_the_tables_on_the_page_are_those_of_the_recorded_results() -> None:
    done = subprocess.run([sys.executable, HEADLINE / "tables.py", "--check"], check=False)
    assert done.returncode == 0, "stale: python benchmarks/headline/tables.py"


def test_every_recorded_comparison_is_on_the_page() -> None:
    shown = set(re.findall(r"<!-- table ([\w-]+)", (ROOT / "docs" / "results.md").read_text("utf-8")))
    gathered = {"sensitivity": "sensitivity"}  # several files in one table
    for path in HEADLINE.glob("*.json"):
        if "results" in json.loads(path.read_text("utf-8")):
            kind, city = re.fullmatch(r"([a-z]+).*?-((?:warsaw|sf|ingolstadt).*)", path.stem).groups()
            assert {path.stem, f"{gathered.get(kind)}-{city}"} & shown, path.name
