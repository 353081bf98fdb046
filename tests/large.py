"""The larger data sets that some tests read where they are at hand; benchmarks/README.md lists them."""

from __future__ import annotations

import os
from pathlib import Path

LARGE = Path(os.environ.get("FLEETLORA_TEST_DATA") or Path(__file__).parents[1] / "data")
ABSENT = f"needs {LARGE}: see FLEETLORA_TEST_DATA in CONTRIBUTING.md"
