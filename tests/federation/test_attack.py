"""The data of bad vehicles whose labels are flipped: one object, for as long as it is used."""

from __future__ import annotations

import gc
import weakref

import numpy as np

from fleetlora.federation.attack import Attack, AttackSettings
from fleetlora.tasks import Shards, TaskData
from tests.lora.conftest import make_texts


def flipped(data: TaskData, seed: int) -> TaskData:
    """Return the data that a run of its own makes of ``data``, half of the fleet of two being bad."""
    shards = Shards(np.array([0, 5, 10]), np.arange(10), np.zeros(3, np.int64), np.empty(0, np.int64))
    return Attack(AttackSettings(kind="label-flip", share=0.5), 2, seed).data(data, shards)[0]


def test_runs_on_the_same_data_share_the_flipped_ones() -> None:
    train, other = make_texts(10), make_texts(10)
    data = TaskData("signs", tuple("abcde"), train, train)
    one, two = flipped(data, 0), flipped(data, 1)
    assert one.train is two.train
    assert one.train is not flipped(TaskData("signs", tuple("abcdef"), train, train), 0).train
    assert one.train is not flipped(TaskData("signs", tuple("abcde"), other, other), 0).train


def test_flipped_data_go_when_nobody_uses_them() -> None:
    train = make_texts(10)
    gone = weakref.ref(flipped(TaskData("signs", tuple("abcde"), train, train), 0).train)
    gc.collect()
    assert gone() is None
