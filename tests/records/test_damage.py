"""Bits that flip in a run directory, and a disk that cannot be written: named, and nothing else is lost."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import fleetlora
from fleetlora.errors import InputError
from fleetlora.lora.peft_files import load_peft
from fleetlora.records import open_run
from fleetlora.report import build_report
from tests.fuzz.cases import SEEDS
from tests.records.make_sample import SAMPLES

SAMPLE = SAMPLES / "schema-1"
FILES = sorted(path.relative_to(SAMPLE) for path in SAMPLE.rglob("*.*") if path.is_file())
TEXTS = (".toml", ".json")


def _read(directory: Path) -> tuple[object, ...]:
    """Return all that a run and its adapter hold."""
    run = open_run(directory)
    adapter = load_peft(run.adapter_dir("signs"))
    tables = tuple(run.tables[name].to_pydict() for name in sorted(run.tables))
    tensors = tuple((name, value.numpy().tobytes()) for name, value in sorted(adapter.tensors().items()))
    return run.config, {**run.result, "host": None}, tables, adapter.rank, adapter.alpha, tensors


@pytest.mark.parametrize("file", FILES, ids=str)
def test_flipped_bits_are_named_or_change_nothing_but_what_a_text_says(file: Path, tmp_path: Path) -> None:
    there = shutil.copytree(SAMPLE, tmp_path / "run")
    sound, content, draws = _read(there), (there / file).read_bytes(), random.Random(str(file))
    named = 0
    for _ in range(12):
        flipped = bytearray(content)
        flipped[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
        (there / file).write_bytes(flipped)
        try:
            read = _read(there)
        except InputError as error:
            named += file.name in str(error) or file.parent.name in str(error)
            continue
        # a text that is still well formed says something else, which nothing can tell
        assert read == sound or file.suffix in TEXTS
    assert named >= 1
    (there / file).write_bytes(content)
    assert _read(there) == sound, "nothing else was lost"


def test_an_adapter_whose_weights_changed_is_refused(tmp_path: Path) -> None:
    there = shutil.copytree(SEEDS / "adapter" / "a", tmp_path / "adapter")
    for name in ("adapter_model.safetensors", "head.safetensors"):
        content = (there / name).read_bytes()
        (there / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        with pytest.raises(InputError, match=f"{name}: damaged: its checksum is wrong"):
            load_peft(there)
        (there / name).write_bytes(content)
    assert load_peft(there).rank == 1


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A stored run on a disk that cannot be written; skipped where the system does not let us mount one."""
    disk, seen = shutil.copytree(SAMPLE, tmp_path / "disk" / "run").parent, tmp_path / "seen"
    seen.mkdir()
    for command in (["mount", "--bind", str(disk), str(seen)], ["mount", "-o", "remount,bind,ro", str(seen)]):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            subprocess.run(["umount", "--lazy", str(seen)], capture_output=True, check=False)
            pytest.skip("no right to mount a read-only disk")
    yield seen
    subprocess.run(["umount", "--lazy", str(seen)], check=True)


def test_a_run_on_a_read_only_disk_opens_and_what_would_write_is_refused(
    read_only: Path, tmp_path: Path
) -> None:
    assert open_run(read_only / "run").complete
    assert fleetlora.resume(read_only / "run").complete, "it is complete: there is nothing to write"
    with pytest.raises(InputError, match="cannot write"):
        build_report(read_only / "run")
    from fleetlora.records import RunIdentity, RunWriter

    with pytest.raises(InputError, match="cannot write a run here: Read-only file system"):
        RunWriter(read_only / "new", "", RunIdentity("m", "p", 0, 1, 1))
    assert not (read_only / "new").exists()
