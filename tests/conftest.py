"""What every test may use: one tiny experiment on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The values of a tiny experiment; copy before changing."""
    from tests.tiny import experiment

    folder: Path = tmp_path_factory.mktemp("tiny")
    return experiment(folder)
