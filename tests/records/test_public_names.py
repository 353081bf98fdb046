import subprocess
import sys

import fleetlora.records


def test_public_names_are_sorted_and_exist() -> None:
    names = fleetlora.records.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(fleetlora.records, name) for name in names)


def test_importing_the_room_imports_nothing_heavy() -> None:
    code = "import sys, fleetlora.records; print({'pyarrow', 'polars', 'torch'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"
