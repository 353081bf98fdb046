"""``fleetlora regret`` as a person meets it, and the commands of docs/theory.md."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

THEORY = (Path(__file__).parents[2] / "docs" / "theory.md").read_text("utf-8")

#: Laid over every documented command, so that it ends in seconds.
SHORTER = "--horizon 100 --seeds 2 --jobs 1 --no-figures"


def test_a_person_reads_a_table_and_where_the_files_are(call: Any, tmp_path: Path) -> None:
    words = shlex.split("regret --horizon 100 --seeds 2 --jobs 1 --instances stationary --out")
    status, out, err = call(*words, tmp_path / "lab")
    assert status == 0
    for word in ("stationary", "regret", "slope", "violation", "ucb-dual-paper", str(tmp_path / "lab")):
        assert word in out
    assert "plays" in err, "progress goes to standard error"
    assert (tmp_path / "lab" / "regret.json").exists()
    assert (tmp_path / "lab" / "figures" / "stationary.svg").exists()


def test_a_machine_reads_json_and_nothing_else(call: Any, tmp_path: Path) -> None:
    words = shlex.split(
        "regret --horizon 100 --seeds 2 --jobs 1 --policies random,fixed --no-figures --json --out"
    )
    status, out, err = call(*words, tmp_path)
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert list(document["instances"]["newcomers"]["policies"]) == ["random", "fixed"]
    assert document == json.loads((tmp_path / "regret.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--policies ucb-dul", "did you mean 'ucb-dual'"),
        ("--instances stationery", "did you mean 'stationary'"),
        ("--horizon 20", "give at least 100"),
        ("--seeds 1", "give at least 2"),
        ("--seeds 0,1", "→ say how many, such as 5"),
        ("--jobs 0", "give at least 1"),
        ("--policies ,", "name one, or leave it out"),
        ("--horizon many", "many"),
    ],
)
def test_bad_input_ends_with_status_2_and_the_mend(words: str, said: str, call: Any, tmp_path: Path) -> None:
    status, _, err = call("regret", *shlex.split(words), "--out", tmp_path / "lab")
    assert status == 2
    assert said in err
    assert not (tmp_path / "lab").exists()


def test_a_study_is_not_overwritten_unasked(call: Any, tmp_path: Path) -> None:
    words = [
        "regret",
        *shlex.split(SHORTER),
        "--instances",
        "stationary",
        "--policies",
        "fixed",
        "--out",
        tmp_path,
    ]
    assert call(*words)[0] == 0
    status, _, err = call(*words)
    assert status == 2
    assert "--overwrite" in err
    assert call(*words, "--overwrite")[0] == 0


def documented() -> list[str]:
    lines = re.findall(r"^    (fleetlora [^\n]*)$", THEORY, flags=re.MULTILINE)
    return [line.split("  #")[0].strip() for line in lines]


def test_the_page_shows_how_to_see_the_rates() -> None:
    assert len(documented()) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("line", documented())
def test_a_documented_command_works(line: str, call: Any, tmp_path: Path) -> None:
    status, out, err = call(*shlex.split(line)[1:], *shlex.split(SHORTER), "--out", tmp_path)
    assert status == 0, err
    assert "slope" in out
