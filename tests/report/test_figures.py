from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fleetlora.records import Run, open_run
from fleetlora.report.costs import energy_by_outcome, energy_price, energy_spent, round_latency
from fleetlora.report.figure import Axis, Figure, Series
from fleetlora.report.figures import all_figures
from fleetlora.report.learning import accuracy_over_energy, accuracy_over_time, trained_ranks
from fleetlora.report.palette import Colour
from fleetlora.report.taking_part import participation, update_outcomes, updates_per_vehicle
from tests.report.synthetic import City, make_run

SMALL = City(tasks=("a", "b"), vehicles=60, rounds=6, with_map=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return open_run(make_run(tmp_path_factory.mktemp("figures") / "run", SMALL))


def made(directory: Path, **changes: object) -> Run:
    return open_run(make_run(directory / "run", City(**{**vars(SMALL), **changes})))  # type: ignore[arg-type]


def named(figure: Figure) -> dict[str, Series]:
    return {series.name: series for series in figure.series if series.in_legend}


def test_every_figure_has_its_own_name_and_explains_itself(run: Run) -> None:
    figures = all_figures(run)
    assert len({figure.name for figure in figures}) == len(figures)
    assert all(len(figure.caption) > 60 and not figure.is_empty for figure in figures)


def test_accuracy_is_drawn_where_it_was_measured(run: Run) -> None:
    figure = accuracy_over_time(run)
    measured = run.rounds.filter((run.rounds["task"] == "a") & run.rounds["accuracy"].is_not_null())
    np.testing.assert_allclose(named(figure)["a"].y, 100 * measured["accuracy"].to_numpy())
    assert figure.x == Axis("virtual time", "min", from_zero=True)
    np.testing.assert_allclose(named(figure)["a"].x, measured["t_end_s"].to_numpy() / 60)


def test_a_curve_ends_at_the_final_accuracy(run: Run) -> None:
    unevaluated = run.rounds.with_columns(accuracy=pl.lit(None, pl.Float64)).to_arrow()
    result = {**run.result, "tasks": {task: {"accuracy": 0.5} for task in run.tasks}}
    changed = Run(run.path, "", {}, {**run.tables, "rounds": unevaluated}, run.identity, result)
    line = named(accuracy_over_time(changed))["a"]
    assert line.y.tolist() == [50.0]
    assert line.x.tolist() == [run.result["latency_s"]["total"] / 60]


def test_head_only_accuracy_is_a_dashed_line_per_task(run: Run) -> None:
    for figure in (accuracy_over_time(run), accuracy_over_energy(run)):
        references = {s.name: s.y[0] for s in figure.series if s.dashed and not s.in_legend}
        assert references == {"a": pytest.approx(62.0), "b": pytest.approx(67.0)}
        assert "Dashed" in figure.caption


def test_ranks_of_a_round_add_up_to_all_of_it(run: Run) -> None:
    figure = trained_ranks(run)
    np.testing.assert_allclose(sum(series.y for series in figure.series), 100)
    assert [series.name for series in figure.series] == [f"rank {r}" for r in (1, 2, 4, 8, 16)]


def test_many_different_ranks_are_shown_in_classes(tmp_path: Path) -> None:
    few = made(tmp_path)
    ranks = np.random.default_rng(0).integers(1, 200, few.updates.height)
    updates = few.updates.with_columns(rank=ranks.astype(np.int32)).to_arrow()
    wide = Run(
        few.path, few.config_toml, few.config, {**few.tables, "updates": updates}, few.identity, few.result
    )
    figure = trained_ranks(wide)
    assert [s.name for s in figure.series][:3] == ["rank 1", "rank 2–3", "rank 4–7"]
    np.testing.assert_allclose(sum(series.y for series in figure.series), 100)


def test_a_round_is_as_long_as_its_slowest_task(run: Run) -> None:
    longest = run.rounds.group_by("round", maintain_order=True).agg(latency=run.rounds["latency_s"].max())
    assert named(round_latency(run))["whole round"].y.max() == longest["latency"].max()


def test_parts_of_a_round_are_means_over_updates_that_arrived(run: Run) -> None:
    arrived = run.updates.filter(
        (run.updates["round"] == 2) & run.updates["outcome"].is_in(["delivered", "early", "handed_off"])
    )
    training = named(round_latency(run))["training"].y[2]
    assert training == pytest.approx(arrived["compute_s"].mean())


def test_energy_lines_end_at_the_ledgers_totals(run: Run) -> None:
    lines = named(energy_spent(run))
    spent = run.ledger.filter(run.ledger["vehicle"] >= 0).group_by("task").agg(pl.col("joules").sum())
    for task, joules in spent.select("task", "joules").iter_rows():
        assert lines[task].y[-1] == pytest.approx(joules / 1e3)


def test_equal_budgets_are_one_line_and_different_ones_a_line_each(run: Run, tmp_path: Path) -> None:
    assert named(energy_spent(run))["budget of each task"].y[-1] == 170.0
    other = open_run(make_run(tmp_path / "run", SMALL))
    budget = np.where(other.rounds["task"] == "a", 5e4, 9e4)
    rounds = other.rounds.with_columns(budget_j=budget).to_arrow()
    changed = Run(other.path, "", {}, {**other.tables, "rounds": rounds}, other.identity, other.result)
    lines = [s.y[-1] for s in energy_spent(changed).series if s.dashed and not s.in_legend]
    assert lines == [50.0, 90.0]


def test_without_a_budget_no_budget_is_drawn(tmp_path: Path) -> None:
    assert not any(series.dashed for series in energy_spent(made(tmp_path, budget_j=None)).series)


def test_energy_by_outcome_adds_up_to_the_vehicles_joules(run: Run) -> None:
    figure = energy_by_outcome(run)
    size = {"kJ": 1e3, "J": 1.0}[figure.y.unit]
    drawn = size * sum(series.y.sum() for series in figure.series)
    assert drawn == pytest.approx(run.result["energy_j"]["total"])


def test_outcomes_and_participation_count_the_same_updates(run: Run) -> None:
    ended = sum(series.y for series in update_outcomes(run).series)
    lines = named(participation(run))
    np.testing.assert_array_equal(ended, lines["started"].y)
    assert (lines["admitted"].y >= lines["started"].y).all()
    assert (lines["started"].y >= lines["reached the model"].y).all()


def test_captions_say_that_the_budget_keeps_updates_from_starting_not_vehicles_from_admission(
    run: Run,
) -> None:
    admitted, started = participation(run).caption.split("Started:")
    assert "budget" not in admitted
    assert "fitted the budget" in started
    assert "an update that could break it is not started" in energy_spent(run).caption


def test_every_vehicle_is_counted_once_in_how_work_is_shared(run: Run) -> None:
    (bars,) = updates_per_vehicle(run).series
    assert bars.y.sum() == run.identity.vehicles


def test_many_updates_per_vehicle_are_shown_in_classes(tmp_path: Path) -> None:
    figure = updates_per_vehicle(made(tmp_path, vehicles=46, rounds=60))
    categories = figure.x.categories
    assert categories is not None
    assert len(categories) <= 40
    assert categories[0].startswith("0–")
    assert figure.series[0].y.sum() == 46


def test_figures_without_data_say_so(tmp_path: Path) -> None:
    lost = made(tmp_path, all_lost=True)
    assert accuracy_over_time(lost).is_empty
    assert not round_latency(lost).is_empty
    assert [s.name for s in round_latency(lost).series] == ["whole round"]
    nothing = open_run(make_run(tmp_path / "nothing", City(rounds=0, with_map=False), finish=False))
    assert all(figure.is_empty and figure.empty for figure in all_figures(nothing))


def test_a_run_without_prices_says_so(tmp_path: Path) -> None:
    run = made(tmp_path)
    rounds = run.rounds.with_columns(price=np.zeros(run.rounds.height)).to_arrow()
    free = Run(run.path, "", {}, {**run.tables, "rounds": rounds}, run.identity, run.result)
    assert energy_price(free).is_empty


def test_a_line_of_one_point_is_marked() -> None:
    point = Series("a", np.zeros(3), np.array([np.nan, 1.0, np.nan]), Colour("#000000", "#ffffff"))
    assert point.shows_points
    assert not Series("a", np.zeros(2), np.ones(2), point.colour).shows_points
    assert not Series("a", np.zeros(100), np.ones(100), point.colour, marker=0).shows_points
