"""The room's front door: sorted names, all there, and cheap to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fleetlora.lora as room


def test_public_names_are_sorted_and_exist() -> None:
    assert room.__all__ == sorted(room.__all__)
    assert all(getattr(room, name) is not None for name in room.__all__)
    assert dir(room) == room.__all__


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = room.Nothing


@pytest.mark.parametrize("name", ["AdapterLayout", "LoraSpec", "adapter_bytes"])
def test_settings_and_sizes_do_not_import_torch(name: str) -> None:
    code = f"import sys; from fleetlora.lora import {name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_torch_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from fleetlora.errors import MissingDependencyError\n"
        "import fleetlora.lora\n"
        "try: fleetlora.lora.Backbone\n"
        "except MissingDependencyError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Backbone needs torch" in done.stdout
    assert "pip install 'fleetlora[train]'" in done.stdout
