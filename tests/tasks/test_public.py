from __future__ import annotations

import subprocess
import sys

import fleetlora.tasks as room


def test_the_public_names_are_sorted_and_there() -> None:
    assert (
        sorted(room.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)) == room.__all__
    )
    assert all(hasattr(room, name) for name in room.__all__)


def test_every_source_of_the_room_is_registered() -> None:
    wanted = {
        "20newsgroups",
        "clinc150",
        "hf-dataset",
        "image-folder",
        "npz",
        "reuters52",
        "reuters8",
        "text-file",
    }
    assert wanted <= set(room.TASK_SOURCES.names())


def test_every_source_documents_its_options_and_leaves_the_sections_own_keys_alone() -> None:
    for name in room.TASK_SOURCES:
        fields = room.TASK_SOURCES.get(name).model_fields  # type: ignore[attr-defined]
        assert not {"name", "source", "encoding", "partition"} & set(fields), name
        assert all(field.description for field in fields.values()), name


def test_importing_the_room_imports_no_heavy_library() -> None:
    code = "import sys, fleetlora.tasks; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "pyarrow", "polars", "PIL", "scipy"} & set(found.stdout.split())
