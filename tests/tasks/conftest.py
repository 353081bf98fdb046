from __future__ import annotations

from pathlib import Path

import pytest

from tests.tasks.makers import save_text_backbone


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("FLEETLORA_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def text_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_text_backbone(tmp_path_factory.mktemp("bert"))
