"""What a minority of liars can do to what an RSU believes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fleetlora.federation.attack import Attack, AttackSettings
from fleetlora.federation.defence import DefenceSettings
from fleetlora.federation.reports import Reports
from fleetlora.federation.uploads import Refusal
from fleetlora.scheduling import Feedback

RANKS = np.array([2, 8])


def feedback(reward: list[float], rank: int = 2, round: int = 0) -> Feedback:
    n = len(reward)
    values = np.array(reward)
    return Feedback(
        round, np.arange(n), np.full(n, rank), values, np.full(n, 5.0), np.ones(n), np.ones(n, bool), values
    )


def hear(
    subject: Reports, told: Feedback, refused: tuple[Refusal, ...] = ()
) -> tuple[Feedback, list[Refusal]]:
    n = len(told)
    return subject.hear(told, np.full(n, 2), np.zeros(n, np.int64), refused)


def test_by_default_every_honest_report_is_believed_as_it_is() -> None:
    told = feedback([0.1, 0.9, 0.5])
    heard, lies = hear(Reports(DefenceSettings(), 0, RANKS, 3), told)
    assert heard is told
    assert lies == []


def test_an_update_that_never_came_has_gained_nothing_whatever_is_said() -> None:
    told = replace(feedback([0.9, 0.9]), delivered=np.array([True, False]))
    heard, lies = hear(Reports(DefenceSettings(), 0, RANKS, 2), told)
    assert heard.reward.tolist() == heard.gain.tolist() == [0.9, 0.0]
    assert lies == []


def test_reports_are_clipped_to_the_middle_of_the_fleet_by_hand() -> None:
    subject = Reports(DefenceSettings(report_trim=0.25), 0, RANKS, 5)
    heard, _ = hear(subject, feedback([0.0, 0.1, 0.2, 0.3, 1.0]))
    np.testing.assert_allclose(heard.reward, [0.1, 0.1, 0.2, 0.3, 0.3])
    np.testing.assert_allclose(heard.gain, heard.reward)
    np.testing.assert_allclose(heard.joules, 5.0)
    few, _ = hear(Reports(DefenceSettings(report_trim=0.25), 0, RANKS, 4), feedback([0.0, 0.0, 0.0, 1.0]))
    assert few.reward.max() == 1.0, "four are no fleet yet"


def test_each_rank_has_a_middle_of_its_own() -> None:
    told = feedback([0.0, 0.01, 0.02, 0.03, 0.9, 0.0, 0.91, 0.92, 0.93, 1.0])
    told = replace(told, rank=np.repeat(RANKS, 5))
    subject = Reports(DefenceSettings(report_trim=0.25), 0, RANKS, 10)
    heard, _ = subject.hear(told, told.rank, np.zeros(10, np.int64), ())
    np.testing.assert_allclose(heard.reward, [0.01, 0.01, 0.02, 0.03, 0.03, 0.91, 0.91, 0.92, 0.93, 0.93])


def test_the_middle_is_of_the_newest_reports_only() -> None:
    subject = Reports(DefenceSettings(report_trim=0.25, report_window=5), 0, RANKS, 10)
    hear(subject, feedback([0.0] * 5))
    later = replace(feedback([0.5, 0.6, 0.7, 0.8, 0.9], round=1), vehicle=np.arange(5, 10))
    np.testing.assert_allclose(hear(subject, later)[0].reward, [0.6, 0.6, 0.7, 0.8, 0.8])


@pytest.mark.parametrize("kind", ["lie-reward", "lie-joules"])
def test_a_fifth_of_liars_moves_a_mean_no_farther_than_the_honest_ones_spread(kind: str) -> None:
    rng = np.random.default_rng(0)
    attack = Attack(AttackSettings(kind=kind, share=0.2), 50, 3)
    honest = feedback(rng.uniform(0.1, 0.3, 50).tolist())
    told = attack.report(honest, RANKS)
    heard, _ = hear(Reports(DefenceSettings(report_trim=0.25), 0, RANKS, 50), told)
    column = "reward" if kind == "lie-reward" else "joules"
    was, said, believed = (float(getattr(f, column).mean()) for f in (honest, told, heard))
    spread = 0.2 if column == "reward" else 0.0
    assert abs(believed - was) <= 0.2 * spread + 0.02
    assert abs(said - was) > 5 * abs(believed - was)


def test_a_false_rank_is_refused_and_a_vehicle_whose_update_was_is_not_believed() -> None:
    attack = Attack(AttackSettings(kind="lie-rank", share=0.5), 4, 0)
    told = attack.report(feedback([0.1, 0.2, 0.3, 0.4]), RANKS)
    subject = Reports(DefenceSettings(), 0, RANKS, 4)
    heard, lies = hear(subject, told)
    assert [(r.vehicle, r.reason, r.value) for r in lies] == [
        (v, "reported rank", 8.0) for v in np.flatnonzero(attack.bad)
    ]
    assert heard.vehicle.tolist() == np.flatnonzero(~attack.bad).tolist()
    heard, _ = hear(subject, feedback([0.1, 0.2]), (Refusal(0, 1, 0, "shape"), Refusal(1, 0, 0, "shape")))
    assert heard.vehicle.tolist() == [0], "the other refusal was another task's"
    undefended, lies = hear(Reports(DefenceSettings(preset="none"), 0, RANKS, 4), told)
    assert undefended is told
    assert lies == []


def test_reports_go_on_from_their_state() -> None:
    one, other = (Reports(DefenceSettings(report_trim=0.25), 0, RANKS, 6) for _ in range(2))
    hear(one, feedback([0.0, 0.1, 0.2, 0.3, 1.0, 0.2]))
    other.load_state_dict(one.state_dict())
    heard = [hear(subject, feedback([1.0], round=1))[0].reward[0] for subject in (one, other)]
    assert heard[0] == heard[1] == pytest.approx(0.3)
