"""What every test may use: one tiny experiment on disk, and the real inputs where they can be had."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings

# How long an example takes says more of the machine, and of what is imported first, than of the code.
settings.register_profile("unhurried", parent=settings.default, deadline=None)
settings.load_profile("unhurried")


class Said(NamedTuple):
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests, so that no worker is left alone with them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call the command line in this process."""
    from fleetlora.cli import main

    def command(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["fleetlora", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return Said(int(end.value.code or 0), said.out, said.err)

    return command


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The values of a tiny experiment; copy before changing."""
    from tests.tiny import experiment

    folder: Path = tmp_path_factory.mktemp("tiny")
    return experiment(folder)


@pytest.fixture(scope="session")
def real_inputs() -> None:
    """Real buses, texts, scenarios and MiniLM in the user's cache; fetched once.

    Without an index the test is skipped, but in CI, where nobody would notice, it fails.
    """
    from fleetlora.assets import fetch
    from fleetlora.errors import InputError

    try:
        fetch()
    except InputError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the real inputs cannot be fetched: {error.problem}")
