from __future__ import annotations

from pathlib import Path

import pytest

from fleetlora.report import build_report
from tests.report.synthetic import City, make_run


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its report."""
    run = make_run(tmp_path_factory.mktemp("runs") / "grid-city", City())
    build_report(run)
    return run
