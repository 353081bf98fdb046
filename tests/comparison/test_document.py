"""What a comparison writes down: best rivals, differences, equal terms, and tables no name can break."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleetlora.comparison.document import build_document
from fleetlora.comparison.files import Comparison
from fleetlora.comparison.measures import Played
from fleetlora.comparison.merge import merge_documents
from fleetlora.comparison.shapes import check_comparison
from fleetlora.comparison.terms import IDLE, OWN, shared_terms
from fleetlora.doctor import versions
from fleetlora.errors import ConfigError, InputError
from fleetlora.report.compared.columns import columns_of
from fleetlora.report.compared.families import family_of
from fleetlora.report.compared.figures import comparison_figures
from fleetlora.report.compared.page import comparison_page
from fleetlora.report.compared.tables import as_csv, as_latex
from fleetlora.report.compared.words import came_out, difference_said, sentences, what_was_compared
from tests.comparison.synthetic import document, played

HOSTILE = "=cmd|'/c calc'!A0"


def test_the_best_rival_in_each_measure_is_named_with_the_paired_difference() -> None:
    made = document(["ucb-dual", "homolora-4", "homolora-8", "random"])
    best = made["best_rival"]
    assert best["accuracy"]["rival"] == "homolora-8"
    assert best["latency_s"]["rival"] == "homolora-4"
    ours, theirs = (made["results"][m]["accuracy"]["value"] for m in ("ucb-dual", "homolora-8"))
    assert best["accuracy"]["difference"]["value"] == pytest.approx(100 * (ours - theirs))


def test_variants_of_the_first_method_and_bounds_are_no_rivals() -> None:
    ours = ["ucb-dual", "ucb-dual-no-dual", "ucb-dual-quick", "ucb-dual-oracle-departure"]
    assert document(ours)["best_rival"] == {}
    assert (
        document([*ours, "ucb-dual-paper", "random"])["best_rival"]["accuracy"]["rival"] == "ucb-dual-paper"
    )
    for first in ("ucb-dual-quick", "ucb-dual-oracle-departure"):
        assert document([first, "ucb-dual", "random"])["best_rival"]["accuracy"]["rival"] == "random"
    assert "fixed-oracle-departure" not in str(document(["random", "fixed-oracle-departure"])["best_rival"])


def test_a_bound_stands_on_no_front_and_is_not_called_the_most_accurate_method() -> None:
    bound = "ucb-dual-oracle-departure"

    def better(one: Played) -> Played:
        return replace(one, values={**one.values, "accuracy": 0.99, "latency_s": 0.1, "energy_j": 1.0})

    runs = [played(m, s) for m in ("ucb-dual", "ucb-dual-no-dual") for s in (0, 1)]
    made = build_document([*runs, *(better(played(bound, s)) for s in (0, 1))], Path("/runs"))
    assert made["fronts"] == {"latency_s": ["ucb-dual"], "energy_j": ["ucb-dual"]}
    assert "most accurate method is ucb-dual with" in came_out(made)[0]
    assert family_of(made, bound).name == "bounds, told the future"
    assert family_of(made, "ucb-dual-no-dual").name == "variants of the reference"


def test_heads_alone_are_no_rival() -> None:
    made = document(["ucb-dual", "homolora-4", "head-only"])
    assert made["best_rival"]["latency_s"]["rival"] == "homolora-4"


def test_without_a_target_it_is_19_twentieths_of_the_worst_method_that_trains_adapters() -> None:
    made = document(["ucb-dual", "homolora-2", "homolora-8", "head-only"])
    worst = made["results"]["homolora-2"]["accuracy"]["value"]
    assert made["results"]["head-only"]["accuracy"]["value"] < worst
    assert made["target"]["accuracy"] == pytest.approx(19 / 20 * worst)
    assert document(["ucb-dual", "random"], target=0.5)["target"] == {"accuracy": 0.5, "why": "given"}


def test_the_best_fixed_rank_is_that_of_hindsight() -> None:
    assert document(["ucb-dual", "homolora-2", "homolora-8", "homolora-16"])["best_homolora"] == "homolora-8"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"budget": {"total_j": 4000.0}}, "budget.total_j"),
        ({"lora": {"ranks": [2, 4]}}, "lora.ranks"),
        ({"traces": {"start_s": 0.0}}, "traces.start_s"),
        ({"round": {"count": 41}}, "round.count"),
    ],
)
def test_runs_of_other_data_joules_or_worlds_are_refused_with_the_difference(
    changes: dict[str, object], key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build_document([played("ucb-dual", 0), played("random", 0, **changes)], Path("/runs"))
    assert key in str(caught.value)


def test_runs_with_devices_in_another_order_are_refused_though_their_terms_are_equal() -> None:
    cars = [{"name": "old", "share": 0.5}, {"name": "new", "share": 0.5}]
    runs = [played("ucb-dual", 0, devices=cars), played("random", 0, devices=cars[::-1])]
    assert shared_terms(runs[0].run.config) == shared_terms(runs[1].run.config)
    with pytest.raises(
        ConfigError, match=r"devices: .*\['old', 'new'\] in ucb-dual, seed 0, \['new', 'old'\]"
    ):
        build_document(runs, Path("/runs"))


def test_runs_of_different_curves_or_of_none_are_refused_and_both_named() -> None:
    def learned(method: str, sha256: str | None) -> Played:
        one = played(method, 0)
        learner = (
            {} if sha256 is None else {"learner": {"kind": "curve", "sha256": sha256, "error_points": {}}}
        )
        return replace(one, run=replace(one.run, result={**one.run.result, **learner}))

    for ours, theirs in (("aaaa", "bbbb"), (None, "bbbb"), ("aaaa", None)):
        with pytest.raises(ConfigError, match=r"ucb-dual, seed 0 .*, random, seed 0 ") as caught:
            build_document([learned("ucb-dual", ours), learned("random", theirs)], Path("/runs"))
        for sha256 in (ours, theirs):
            assert ("was trained" if sha256 is None else sha256) in str(caught.value)
    same = build_document([learned("ucb-dual", "aaaa"), learned("random", "aaaa")], Path("/runs"))
    assert same["learner"]["sha256"] == "aaaa"


def test_a_method_may_differ_in_its_own_parts() -> None:
    other = played("random", 0, budget={"rule": "feedback"}, training={"rate_factor": 2.0})
    assert build_document([played("ucb-dual", 0), other], Path("/runs"))["methods"] == ["ucb-dual", "random"]


def test_seeds_of_one_method_with_other_values_are_refused_and_both_named() -> None:
    runs = [played("ucb-dual", 0), played("ucb-dual", 1, training={"rate_factor": 2.0})]
    with pytest.raises(ConfigError) as caught:
        build_document(runs, Path("/runs"))
    assert caught.value.where == "training.rate_factor"
    assert "runs of ucb-dual" in caught.value.problem
    assert "'nothing' in ucb-dual, seed 0, 2.0 in ucb-dual, seed 1" in caught.value.problem
    idle = [played("ucb-dual", 0), played("ucb-dual", 1, name="another-name")]
    assert build_document(idle, Path("/runs"))["seeds"] == [0, 1]


def test_the_page_on_comparing_names_every_key_that_may_differ() -> None:
    page = (Path(__file__).parents[2] / "docs" / "compare.md").read_text("utf-8")
    equal_terms = page.partition("## Equal terms")[2].partition("## ")[0]
    assert [key for key in (*OWN, *IDLE) if f"`{key}`" not in equal_terms and key != "method"] == []


def test_methods_need_the_same_seeds() -> None:
    with pytest.raises(InputError, match="random has no run of seed 1"):
        build_document([played("ucb-dual", 0), played("ucb-dual", 1), played("random", 0)], Path("/runs"))


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(InputError, match="no run to compare"):
        build_document([], Path("/runs"))


def test_one_seed_is_compared_without_intervals() -> None:
    made = document(["ucb-dual", "random"], seeds=[3])
    assert made["results"]["random"]["accuracy"]["low"] is None
    assert "&" in as_latex(made)


def test_a_difference_that_only_the_bootstrap_tells_from_none_is_not_called_shown() -> None:
    made = document(["ucb-dual", "homolora-4"], seeds=[0, 1, 2])
    block = made["best_rival"]["accuracy"]
    block["difference"] = {"value": 1.0, "low": 0.5, "high": 2.0, "t_low": -0.9, "t_high": 2.9, "n": 3}
    said = sentences(made)[0]
    assert "+0.5 to +2.0 by bootstrap, -0.9 to +2.9 by Student's t; that is not shown" in said
    block["difference"] |= {"t_low": 0.1, "t_high": 1.9}
    assert "not shown" not in sentences(made)[0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (2.5, "2.5 points higher than B"),
        (-2.5, "2.5 points lower than B"),
        (0.0, "the same as B"),
        (-0.04, "within 0.1 points the same as B"),
        (None, "not comparable with B"),
    ],
)
def test_a_difference_of_none_or_of_nothing_is_said_in_words(value: float | None, said: str) -> None:
    assert difference_said("accuracy", {"value": value}, "B") == said
    made = document(["ucb-dual", "homolora-4"], seeds=[0, 1])
    made["best_rival"]["accuracy"]["difference"] = {"value": value, "low": None, "high": None, "n": 2}
    page = comparison_page(made, comparison_figures(made))
    assert f"{said.removesuffix('B')}homolora-4, the best rival" in page
    assert f"{said.removesuffix('B')}that of homolora-4" in page or value is None


def test_the_page_names_all_that_is_each_methods_own() -> None:
    made = document(["ucb-dual", "homolora-4"], seeds=[0])
    page = comparison_page(made, comparison_figures(made))
    for own in ("size of their update", "a round waits", "step size", "what they train", "merged", "leaving"):
        assert own in what_was_compared(made)
        assert page.count(own) >= 2, "in the lead, and among the words"
    assert "joules are divided anew" in what_was_compared(made)


def test_figures_of_differences_draw_what_both_intervals_span() -> None:
    made = document(["ucb-dual", "homolora-4"], seeds=[0, 1, 2])
    found = made["differences"]["homolora-4"]["accuracy_points"]
    assert found["t_low"] < found["low"] < found["high"] < found["t_high"]
    (figure,) = (one for one in comparison_figures(made) if one.name == "difference-accuracy")
    assert figure.series[-1].x_span.tolist() == [[found["t_low"], found["t_high"]]]


def test_it_is_told_which_machines_runs_were_played_on_if_not_all_here() -> None:
    def on(one: Played, **changes: Any) -> Played:
        host = {**versions(), "seconds": 3.0 + one.seed, "checkpoints_seconds": 0.1, **changes}
        return replace(one, run=replace(one.run, result={**one.run.result, "host": host}))

    runs = [played(method, seed) for method in ("ucb-dual", "random") for seed in (0, 1)]
    assert "parts" not in build_document([on(one) for one in runs], Path("/runs"))
    there = [*map(on, runs[:3]), on(runs[3], machine="another <b>")]
    made = build_document(there, Path("/runs"))
    assert [part["methods"] for part in made["parts"]] == [["ucb-dual", "random"], ["random"]]
    assert made["parts"][1]["host"] == {**versions(), "machine": "another <b>"}
    check_comparison(made, Path("comparison.json"), "")
    page = comparison_page(made, comparison_figures(made))
    assert "the computer of ucb-dual, random" in page
    assert "another &lt;b&gt;" in page


def test_a_document_of_a_version_without_students_intervals_is_read() -> None:
    made = document(["ucb-dual", "homolora-4"], seeds=[0, 1, 2])
    before = json.loads(
        json.dumps(made), object_hook=lambda one: {k: one[k] for k in one if k[:2] != "t_" or k == "t_s"}
    )
    assert "t_low" not in before["results"]["ucb-dual"]["accuracy"]
    check_comparison(before, Path("comparison.json"), "")
    page = comparison_page(before, comparison_figures(before))
    assert "by bootstrap" in page
    assert "by Student" not in page
    merged = merge_documents([before], before["methods"])
    assert merged["results"] == made["results"]


def test_no_cell_of_the_csv_is_a_formula() -> None:
    made = document(["ucb-dual", HOSTILE], seeds=[0])
    rows = list(csv.reader(io.StringIO(as_csv(Comparison(Path("/runs"), made)))))
    assert not any(cell[:1] in "=+-@" and not _is_number(cell) for row in rows for cell in row if cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_names_cannot_break_out_of_latex_or_html() -> None:
    name = r"a_b\input{x}&<script>alert(1)</script>"
    made = document(["ucb-dual", name], seeds=[0, 1])
    assert r"\input{x}" not in as_latex(made)
    assert r"a\_b" in as_latex(made)
    assert "<script>alert" not in comparison_page(made, comparison_figures(made))


def test_the_tables_have_columns_of_overdraw_and_handoffs() -> None:
    made = document(["ucb-dual", "random"], seeds=[0])
    made["results"]["random"]["overdraw_j"]["value"] = 12.25
    page, table = comparison_page(made, comparison_figures(made)), as_latex(made)
    for text in (page, table):
        for shown in ("overdraw (J)", "12.25", "handoffs", "812"):
            assert shown in text
    *_, drawn = (line for line in table.splitlines() if line.strip().startswith("random"))
    assert drawn.count("&") == len(columns_of(made))


def test_every_method_of_a_large_comparison_is_on_the_page_and_in_the_table() -> None:
    made = document()
    page, table = comparison_page(made, comparison_figures(made)), as_latex(made)
    for method in made["methods"]:
        assert method in page
        assert method.replace("_", r"\_") in table
