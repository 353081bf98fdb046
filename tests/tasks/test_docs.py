from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fleetlora.tasks import TASK_SOURCES, Encoding, Partition, encode_task

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text("utf-8")
TOML = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", TOML)
def test_every_toml_example_is_valid(text: str) -> None:
    for task in tomllib.loads(text)["tasks"]:
        options: dict[str, Any] = dict(task)
        assert options.pop("name")
        Encoding(**options.pop("encoding", {}))
        Partition(**options.pop("partition", {}))
        TASK_SOURCES.get(options.pop("source"))(**options)


def test_every_source_has_a_line_in_the_table() -> None:
    for name in (
        "20newsgroups",
        "clinc150",
        "hf-dataset",
        "image-folder",
        "npz",
        "reuters52",
        "reuters8",
        "text-file",
    ):
        assert f"| `{name}` |" in PAGE


@pytest.mark.usefixtures("cache")
def test_the_source_of_ones_own_works(
    tmp_path: Path, text_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TASK_SOURCES, "_items", dict(TASK_SOURCES._items))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/tasks.md", "exec"), {"__name__": "own"})
    lines = tmp_path / "lines.txt"
    lines.write_text("go: drive on\nstop: halt: now\n", "utf-8")
    raw = TASK_SOURCES.get("lines")(train=str(lines), test=str(lines)).load()
    assert raw.train.texts == ["drive on", "halt: now"]
    assert encode_task("own", raw, text_backbone).classes == ("go", "stop")
