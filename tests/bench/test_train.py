"""The bench of training: its cohorts, its rivals' processes, and what it says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fleetlora.bench.cohort_work import CohortWork, Texts, cut, mean, spoken_lengths
from fleetlora.bench.rivals import play
from fleetlora.bench.train import Shape, TrainSpeed, _apart, _rounds
from fleetlora.console import Quiet
from fleetlora.errors import FleetLoraError, InputError
from fleetlora.lora import Adapter, Backbone, LocalTraining, LoraSpec, init_adapter, step_flops

TINY = (Shape(name="tiny", tokens=4, vehicles=1),)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> CohortWork:
    from fleetlora.bench.cohort_work import random_bert

    folder = random_bert(tmp_path_factory.mktemp("bert"), 2, 16, 2, 1100, seed=0)
    return CohortWork.drawn(
        Backbone.from_path(folder),
        LoraSpec(layers=(-1,)),
        LocalTraining(steps=2, batch_size=3),
        ranks=(1, 4, 2),
        vehicles=4,
        rounds=3,
        length=5,
        classes=7,
        seed=0,
    )


def test_ranks_are_dealt_and_every_text_is_seen_once_a_round_by_its_vehicle(work: CohortWork) -> None:
    assert work.ranks == (1, 4, 2, 1)
    assert work.schedules.shape == (3, 4, 2, 3)
    for schedule in work.schedules:
        for vehicle, rows in enumerate(schedule):
            assert sorted(rows.ravel()) == list(range(6 * vehicle, 6 * vehicle + 6))
    assert not np.array_equal(work.schedules[0], work.schedules[1])
    assert work.weights.sum() == pytest.approx(1)


def test_a_rounds_operations_are_those_of_each_vehicles_own_rank(work: CohortWork) -> None:
    each = [step_flops(work.backbone, work.spec, rank, 3, 5, 7) for rank in (1, 4, 2, 1)]
    assert work.round_flops == pytest.approx(2 * sum(each), rel=1e-12)


def test_spoken_texts_have_the_lengths_of_requests_and_are_padded_to_a_batch() -> None:
    rng = np.random.default_rng(0)
    lengths = spoken_lengths(4000, 32, rng)
    assert (lengths.min(), lengths.max()) == (3, pytest.approx(29, abs=3))
    assert lengths.mean() == pytest.approx(11.04, abs=0.2)  # of CLINC150's training texts
    assert spoken_lengths(4000, 12, rng).max() == 12
    texts = Texts.drawn(np.arange(4) % 2, np.array([3, 5, 4, 9]), 1100, rng)
    assert texts.lengths.tolist() == [3, 5, 4, 9]
    batch = texts.batch(np.array([0, 1]))
    assert batch["input_ids"].shape == (2, 5)
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5]


def test_a_loop_with_peft_comes_to_the_same_mean_though_texts_differ_in_length(
    work: CohortWork, tmp_path: Path
) -> None:
    spoken = CohortWork.drawn(
        work.backbone,
        work.spec,
        work.training,
        ranks=(1, 4, 2),
        vehicles=3,
        rounds=2,
        length=20,
        spoken=True,
        classes=7,
        seed=1,
    )
    spoken.write(tmp_path / "work")
    program = Path(__file__).parents[2] / "benchmarks" / "rivals" / "peft_loop.py"
    rival = play(program, None, tmp_path / "work", tmp_path / "out", spoken.start)
    ours = _rounds(spoken, cache=False)
    assert _apart(rival.aggregate, ours.aggregate, spoken.start)["error"] < 1e-5


def test_the_mean_is_zero_beyond_a_vehicles_rank(work: CohortWork) -> None:
    layout = work.backbone.layout(work.spec, 7)
    whole = init_adapter(layout, 4, seed=1)
    found = mean([whole, cut(whole, 1)], np.array([0.75, 0.25]))
    for name in whole.names:
        torch.testing.assert_close(found.A[name][:1], whole.A[name][:1])
        torch.testing.assert_close(found.A[name][1:], 0.75 * whole.A[name][1:])
    assert isinstance(found, Adapter)
    assert found.rank == 4


def test_a_missing_program_or_interpreter_is_refused_with_its_mend(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such program\n.*--set rivals=DIR"):
        TrainSpeed(shapes=TINY, rivals=tmp_path / "none", repeats=1).measure(Quiet())
    (tmp_path / "peft_loop.py").write_text("")
    bench = TrainSpeed(shapes=TINY, rivals=tmp_path, rivals_python=tmp_path / "python", repeats=1)
    with pytest.raises(InputError, match=r"no such interpreter\n.*README"):
        bench.measure(Quiet())


def test_a_program_that_fails_is_told_with_its_last_words(work: CohortWork, tmp_path: Path) -> None:
    program = tmp_path / "rival.py"
    program.write_text("raise SystemExit('out of luck')\n")
    work.write(tmp_path)
    with pytest.raises(FleetLoraError, match=r"rival\.py failed: out of luck"):
        play(program, None, tmp_path, tmp_path / "out", work.start)
