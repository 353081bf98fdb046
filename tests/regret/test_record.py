"""What a study leaves behind: the document and figures a person can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleetlora.errors import InputError
from fleetlora.regret import draw_lab, run_lab
from fleetlora.regret.figure import legend
from fleetlora.regret.record import check_folder, write_lab


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    return run_lab(200, 2, instances=["stationary"])


def test_the_document_holds_the_study_and_the_host(study: dict[str, Any], tmp_path: Path) -> None:
    document = write_lab(study, tmp_path / "new" / "lab")
    assert json.loads((tmp_path / "new" / "lab" / "regret.json").read_text("utf-8")) == document
    assert document["host"]["versions"]["numpy"]
    assert {key: document[key] for key in study} == study
    names = sorted(path.name for path in (tmp_path / "new" / "lab" / "figures").iterdir())
    assert names == ["stationary.png", "stationary.svg"]


def test_figures_can_be_left_out(study: dict[str, Any], tmp_path: Path) -> None:
    write_lab(study, tmp_path, figures=False)
    assert [path.name for path in tmp_path.iterdir()] == ["regret.json"]


def test_a_figure_names_every_policy_with_its_slope(study: dict[str, Any], tmp_path: Path) -> None:
    (stem,) = draw_lab(study, tmp_path)
    drawn = stem.with_suffix(".svg").read_text("utf-8")
    first = stem.with_suffix(".svg").read_bytes()
    draw_lab(study, tmp_path)
    assert stem.with_suffix(".svg").read_bytes() == first, "the same study gives the same bytes"
    for name, policy in study["instances"]["stationary"]["policies"].items():
        for key in ("regret", "overspending", "violation"):
            assert f"<!-- {legend(name, policy[key])} -->" in drawn


def test_a_legend_says_the_slope_or_where_the_curve_ends() -> None:
    exponent = {"value": 0.5, "low": 0.41, "high": 0.6, "scale": 1.0}
    assert legend("a", {"mean": [9.0], "exponent": exponent}) == "a: slope 0.50 [0.41, 0.60]"
    unsure = {**exponent, "low": None, "high": None}
    assert legend("a", {"mean": [9.0], "exponent": unsure}) == "a: slope 0.50"
    assert legend("a", {"mean": [-1234.4], "exponent": None}) == "a: no slope, ends at -1,234"


def test_a_folder_with_a_study_is_not_overwritten_unasked(study: dict[str, Any], tmp_path: Path) -> None:
    check_folder(tmp_path / "absent", overwrite=False)
    write_lab(study, tmp_path, figures=False)
    with pytest.raises(InputError, match=r"already holds a study\n.*--overwrite"):
        check_folder(tmp_path, overwrite=False)
    check_folder(tmp_path, overwrite=True)
    with pytest.raises(InputError, match="is a file"):
        check_folder(tmp_path / "regret.json", overwrite=True)
