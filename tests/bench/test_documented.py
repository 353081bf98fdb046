"""Every ``fleetlora bench`` command of the documentation is run, in miniature."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").glob("*.md")))

#: Laid over what is documented, so that it ends in seconds.
SMALLER = {
    "aggregate": ["shapes=[[48,64]]", "vehicles=[4]", "repeats=1"],
    "contacts": ["vehicles=20", "fixes=2000", "duration_s=20000.0", "rsus=10", "windows=1", "ticks=5"],
    "policy": ["vehicles=500", "sample=5", "repeats=1"],
}


def documented() -> list[str]:
    """Every command that stands in a line of its own or as code in a sentence, once each."""
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    found = re.findall(r"^    (fleetlora bench [a-z][^\n#]*)", text, flags=re.MULTILINE)
    found += re.findall(r"`(fleetlora bench [a-z][^`]*)`", text)
    return sorted({command.strip() for command in found if "…" not in command})


def test_every_bench_is_documented_and_every_documented_one_exists() -> None:
    from fleetlora.bench import BENCHES

    assert {shlex.split(command)[2] for command in documented()} == set(BENCHES)


def test_the_page_says_which_records_are_of_which_version() -> None:
    folder = ROOT / "benchmarks"
    of: dict[str, set[str]] = {}
    for path in [*folder.glob("*.json"), *folder.glob("headline/*.json")]:
        record = json.loads(path.read_text("utf-8"))
        for part in record.get("parts", [record]):
            of.setdefault(part["host"]["versions"]["fleetlora"], set()).add(
                path.relative_to(folder).as_posix()
            )
    page = " ".join(PAGES[1].read_text("utf-8").split())
    files = r"(?:`[^`]+`(?:, | and )?)+"
    (said,) = re.findall(rf"({files}) are of version 0\.1\.0 by their \S+, the others of 0\.2\.0\.", page)
    assert set(of) == {"0.1.0", "0.2.0"}
    assert of["0.1.0"] == set(re.findall(r"`([^`]+)`", said))


@pytest.mark.parametrize("command", documented())
def test_a_documented_bench_can_be_asked_for(
    command: str, call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fleetlora.bench import BENCHES

    monkeypatch.chdir(ROOT)  # commands name files of the repository
    _, _, name, *rest = shlex.split(command)
    if "--out" in rest:
        rest[rest.index("--out") + 1] = str(tmp_path / "out.json")
    if name in SMALLER:
        smaller = [word for value in SMALLER[name] for word in ("--set", value)]
    else:  # takes minutes at the least; tests of its own play it on something tiny
        kind = BENCHES.get(name)
        monkeypatch.setattr(kind, "measure", lambda self, progress: {"said": self.model_dump(mode="json")})
        monkeypatch.setattr(kind, "lines", lambda self, measured: iter(["measured"]))
        smaller = []
    said = call("bench", name, *rest, *smaller)
    assert said.status == 0, said.err
    assert said.out
    if "--out" in rest:
        assert json.loads((tmp_path / "out.json").read_text("utf-8"))["bench"] == name
