"""An aggregator takes each update once, whatever the order and number of its copies."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleetlora.faults import Delivery, Mail, take_once
from fleetlora.rng import stream


def test_copies_are_refused_and_so_is_what_comes_after_the_round() -> None:
    mail = Mail(np.array([1, 0, 1, 2, 2]), np.array([3.0, 4.0, 5.0, 10.0, 10.5]))
    taken = take_once(mail, 3, 10.0)
    assert taken.comes_s.tolist() == [4.0, 3.0, 10.0]
    assert taken.duplicate.tolist() == [False, False, True, False, True]
    assert not taken.late.any()
    late = take_once(mail, 3, 9.0)
    assert late.comes_s.tolist() == [4.0, 3.0, np.inf]
    assert late.late.tolist() == [False, False, False, True, True]


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 20)), max_size=30))
def test_every_message_is_taken_or_refused_and_none_is_taken_twice(messages: list[tuple[int, float]]) -> None:
    ordered = sorted(messages, key=lambda message: message[1])
    mail = Mail(np.array([m[0] for m in ordered], np.int64), np.array([m[1] for m in ordered]))
    taken = take_once(mail, 6, 10.0)
    accepted = ~taken.duplicate & ~taken.late
    assert not (taken.duplicate & taken.late).any()
    updates = mail.update[accepted].tolist()
    assert len(updates) == len(set(updates))
    in_time = {update for update, comes_s in ordered if comes_s <= 10.0}
    assert set(updates) == in_time == set(np.flatnonzero(np.isfinite(taken.comes_s)).tolist())


def test_mail_comes_twice_and_late_as_often_as_told() -> None:
    sent_s = np.linspace(0, 10, 4000)
    mail = Mail.drawn(sent_s, Delivery(duplicate=0.25, late=0.5, delay_s=4.0), stream(1, "mail"))
    assert abs(len(mail.update) - 5000) < 150
    held_s = mail.comes_s - sent_s[mail.update]
    assert (held_s >= 0).all()
    assert abs((held_s > 0).mean() - 0.5) < 0.03
    assert abs(held_s[held_s > 0].mean() - 4.0) < 0.3
    assert (np.diff(mail.comes_s) >= 0).all()


def test_mail_without_faults_is_what_was_sent() -> None:
    sent_s = np.array([3.0, 1.0, 2.0])
    mail = Mail.drawn(sent_s, Delivery(duplicate=0, late=0), stream(1, "mail"))
    taken = take_once(mail, 3, 3.0)
    np.testing.assert_array_equal(taken.comes_s, sent_s)
    assert not taken.duplicate.any()
