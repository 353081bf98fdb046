"""What an RSU refuses and why; that the honest model is the same to the last bit; privacy's noise."""

from __future__ import annotations

import builtins
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fleetlora.errors import ConfigError, InputError, MissingDependencyError
from fleetlora.federation.attack import Attack, AttackSettings
from fleetlora.federation.defence import DefenceSettings
from fleetlora.federation.gate import Gate, norm_limits
from fleetlora.federation.privacy import Privacy, epsilon
from fleetlora.federation.privacy_settings import PrivacySettings
from fleetlora.federation.uploads import Upload, first_of_each
from fleetlora.lora import AGGREGATION_RULES, Adapter, init_adapter
from fleetlora.lora.changes import change_of, norms
from tests.lora.updates import LAYOUT, update

RULE = AGGREGATION_RULES.get("product")()
START = RULE.start(init_adapter(LAYOUT, 4, 0))


def upload(vehicle: int, round: int = 0, rank: int = 2) -> Upload:
    received = RULE.dispatch(START, rank, RULE.init(LAYOUT, rank, 0))
    return Upload(vehicle, 0, round, rank, 5.0 + vehicle, received, update(rank, 10 * round + vehicle))


def attacked(kind: str, factor: float = 10.0) -> Attack:
    """An attack by vehicle 0 of two."""
    attack = Attack(AttackSettings(kind=kind, share=0.5, factor=factor), 2, 0)
    attack.bad[:] = [True, False]
    return attack


def gate(preset: str = "checks", **values: Any) -> Gate:
    return Gate(RULE, DefenceSettings(preset=preset, **values), 1, attacked=True)


def same(one: Adapter, other: Adapter) -> bool:
    pairs = zip(one.tensors().values(), other.tensors().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nan", "not finite"),
        ("infinite", "not finite"),
        ("shape", "shape"),
        ("rank", "rank"),
        ("stale", "stale"),
        ("replay", "replayed"),
    ],
)
def test_a_bad_update_is_refused_with_its_reason_and_the_others_model_is_the_same_bit_for_bit(
    kind: str, reason: str
) -> None:
    attack, subject = attacked(kind), gate()
    for round in (0, 1):  # what is sent again was once sent
        taken, refused = subject.admit(0, round, attack.send(0, [upload(0, round), upload(1, round)]))
    assert [r.reason for r in refused] == [reason]
    assert refused[0].vehicle == 0
    assert same(subject.merge(taken, START), RULE.merge([upload(1, 1).adapter], [6.0], START))


def test_of_an_update_sent_twice_one_counts() -> None:
    subject = gate()
    taken, refused = subject.admit(0, 0, attacked("repeat").send(0, [upload(0), upload(1)]))
    assert [r.reason for r in refused] == ["repeated"]
    honest = RULE.merge([upload(0).adapter, upload(1).adapter], [5.0, 6.0], START)
    assert same(subject.merge(taken, START), honest)
    assert first_of_each([3, 3, 4, 3], [0, 0, 0, 1]).tolist() == [True, False, True, True]
    assert first_of_each([], []).tolist() == []


def test_without_checks_nothing_is_refused_and_what_is_not_finite_ends_the_run_at_the_aggregate() -> None:
    subject = gate("none")
    taken, refused = subject.admit(0, 0, attacked("nan").send(0, [upload(0), upload(1)]))
    assert (len(taken), refused) == (2, [])
    with pytest.raises(InputError, match="not finite"):
        subject.merge(taken, START)


def test_without_an_attack_what_is_not_finite_is_training_that_diverged() -> None:
    spoiled = attacked("nan").send(0, [upload(0)])
    with pytest.raises(InputError, match="diverged"):
        Gate(RULE, DefenceSettings(), 1).admit(0, 0, spoiled)


def test_the_norm_limit_is_the_median_and_k_deviations_by_hand() -> None:
    known = np.array([[1.0, 10], [2, 10], [3, 10], [4, 10], [100, 10]])  # medians 3, 10; MADs 1, 0
    np.testing.assert_allclose(norm_limits(known, 2.0, 5), [3 + 2 * 1.4826, 10 + 2 * 1.4826])
    assert np.isinf(norm_limits(known[:4], 2.0, 5)).all(), "too few are no fleet"
    half = np.array([[1.0, 1]] * 3 + [[np.inf, np.nan]] * 2)
    np.testing.assert_allclose(norm_limits(half, 1.0, 5), [1.14826, 1.14826])


@pytest.mark.parametrize(("kind", "factor"), [("scale", 1e6), ("sign-flip", 100.0), ("scale", 1e30)])
def test_an_update_of_enormous_norm_is_refused_even_in_the_first_round(kind: str, factor: float) -> None:
    subject = gate("default", rule="mean")
    honest = [upload(v) for v in range(1, 8)]
    bad = attacked(kind, factor)
    bad.bad = np.arange(8) == 0
    taken, refused = subject.admit(0, 0, bad.send(0, [upload(0), *honest]))
    assert [(r.vehicle, r.reason) for r in refused] == [(0, "norm of the layers")]
    plain = RULE.merge([u.adapter for u in honest], [u.samples for u in honest], START)
    assert same(subject.merge(taken, START), plain)


def test_a_gate_goes_on_from_its_state() -> None:
    first, attack = gate("default"), attacked("replay")
    first.admit(0, 0, attack.send(0, [upload(0), upload(1)]))
    second, other = gate("default"), attacked("replay")
    second.load_state_dict(first.state_dict())
    other.load_state_dict(attack.state_dict())
    refused = second.admit(0, 1, other.send(0, [upload(0, 1), upload(1, 1)]))[1]
    assert [r.reason for r in refused] == ["replayed"]
    assert [len(m.norms) for m in second._memory] == [3]


def scaled_by_a_hundred(sent: Upload) -> Upload:
    [bad] = attacked("scale", 100.0).send(0, [sent])
    return bad


def test_norms_of_earlier_rounds_refuse_a_scaled_update_that_comes_alone() -> None:
    subject = gate("default")
    assert subject.admit(0, 0, [upload(v) for v in range(1, 8)])[1] == []
    refused = subject.admit(0, 1, [scaled_by_a_hundred(upload(0, 1))])[1]
    assert [(r.vehicle, r.reason) for r in refused] == [(0, "norm of the layers")]
    assert gate("default").admit(0, 1, [scaled_by_a_hundred(upload(0, 1))])[1] == [], "alone it is no fleet"


def test_only_the_newest_accepted_norms_are_remembered_also_after_a_restart() -> None:
    def kept(subject: Gate) -> np.ndarray:
        return np.array(subject.state_dict()["tasks"][0]["norms"])

    def of(*sent: Upload) -> np.ndarray:
        return norms([change_of(u.received, u.adapter) for u in sent]).numpy()

    honest = [upload(v) for v in range(5)]
    first, second = gate("default", norm_window=3), gate("default", norm_window=3)
    first.admit(0, 0, honest)
    np.testing.assert_array_equal(kept(first), of(*honest[2:]))
    second.load_state_dict(first.state_dict())
    second.admit(0, 1, [upload(5, 1)])
    np.testing.assert_array_equal(kept(second), of(*honest[3:], upload(5, 1)))


def test_who_is_bad_is_a_share_of_the_fleet_drawn_from_the_seed() -> None:
    draws = [Attack(AttackSettings(kind="nan", share=0.2), 50, seed).bad for seed in (1, 1, 2)]
    assert [int(bad.sum()) for bad in draws] == [10, 10, 10]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()
    assert not Attack(AttackSettings(), 50, 1).on


def test_a_sign_flip_turns_every_change_by_hand() -> None:
    honest = upload(0)
    [sent] = attacked("sign-flip", 3.0).send(0, [honest])
    for name, start in honest.received.tensors().items():
        moved = honest.adapter.tensors()[name] - start
        torch.testing.assert_close(sent.adapter.tensors()[name], start - 3 * moved)


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"rule": "medain"}, "defence.rule"),
        ({"rule": "median", "rule_options": {"trim": 0.1}}, "trim"),
        ({"rule": "trimmed-mean", "rule_options": {"trim": 0.5}}, "trim"),
    ],
)
def test_a_defence_that_cannot_be_is_refused_by_key(values: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError, match=where):
        DefenceSettings(**values)


def test_keys_are_laid_over_their_preset() -> None:
    assert DefenceSettings() == DefenceSettings(preset="checks")
    assert DefenceSettings(preset="default", rule="mean").norm_bound is not None
    assert DefenceSettings(**DefenceSettings(preset="default").model_dump()) == DefenceSettings(
        preset="default"
    )


# --- differential privacy ------------------------------------------------------------------------------

accountant = pytest.mark.usefixtures("accounting")


@pytest.fixture
def accounting() -> None:
    pytest.importorskip("dp_accounting", reason="fleetlora[privacy] is not installed")


def private(noise: float, clip: float) -> Privacy:
    return Privacy(PrivacySettings(noise_multiplier=noise, clip_norm=clip), ["signs"], 0)


def moved(sent: Upload) -> torch.Tensor:
    pairs = zip(sent.adapter.tensors().values(), sent.received.tensors().values(), strict=True)
    return torch.cat([(new - old).flatten().double() for new, old in pairs])


@accountant
def test_an_update_is_clipped_to_the_norm_and_its_noise_has_the_stated_deviation() -> None:
    honest = upload(0)
    [clipped] = private(1e-9, 0.5).protect(0, 0, [honest], RULE)
    assert float(moved(clipped).norm()) == pytest.approx(0.5, rel=1e-4)
    torch.testing.assert_close(
        moved(clipped) / 0.5, moved(honest) / moved(honest).norm(), atol=1e-5, rtol=1e-3
    )
    noisy = private(3.0, 0.5).protect(0, 0, [upload(v) for v in range(40)], RULE)
    calm = private(1e-9, 0.5).protect(0, 0, [upload(v) for v in range(40)], RULE)
    noise = torch.cat([moved(a) - moved(b) for a, b in zip(noisy, calm, strict=True)])
    assert float(noise.std()) == pytest.approx(3.0 * 0.5, rel=4 / np.sqrt(2 * len(noise)))
    again = private(3.0, 0.5).protect(0, 0, [upload(0)], RULE)
    assert same(again[0].adapter, noisy[0].adapter)


@accountant
def test_a_gate_with_privacy_lets_nothing_through_as_it_was_sent() -> None:
    honest = [upload(0), upload(1)]
    privacy = private(1.0, 0.5)
    taken, refused = Gate(RULE, DefenceSettings(), 1, privacy=privacy).admit(0, 0, honest)
    assert refused == []
    assert privacy.rounds == [1]
    noisy = private(1.0, 0.5).protect(0, 0, honest, RULE)
    for got, sent, wanted in zip(taken, honest, noisy, strict=True):
        assert not same(got.adapter, sent.adapter)
        assert same(got.adapter, wanted.adapter)


@accountant
def test_noise_on_an_equal_update_is_new_in_every_round_and_for_every_vehicle() -> None:
    still = replace(upload(0), adapter=upload(0).received)  # nothing moved: what goes on is noise alone
    subject = private(1.0, 0.5)
    sent = [(0, still), (1, replace(still, round=1)), (0, replace(still, vehicle=1))]
    noise = [moved(subject.protect(0, round, [one], RULE)[0]) for round, one in sent]
    for one, other in ((0, 1), (0, 2)):
        # independent draws: their difference has the deviation sqrt(2)·z·C
        apart = float((noise[one] - noise[other]).std())
        assert apart == pytest.approx(2**0.5 * 0.5, rel=4 / np.sqrt(2 * len(noise[one])))


@accountant
def test_ffas_frozen_a_gets_no_noise() -> None:
    [noisy] = private(1.0, 1.0).protect(0, 0, [upload(0)], AGGREGATION_RULES.get("ffa")())
    assert all(torch.equal(A, upload(0).adapter.A[name]) for name, A in noisy.adapter.A.items())
    assert not torch.equal(noisy.adapter.B["low.query"], upload(0).adapter.B["low.query"])


@accountant
def test_epsilon_is_the_gaussian_mechanisms_own() -> None:
    """T of noise z are one of noise z/sqrt(T), whose epsilon is known exactly (Balle and Wang 2018)."""
    from dp_accounting import get_epsilon_gaussian

    for z, rounds in ((2.0, 10), (5.0, 1)):
        assert epsilon(z, rounds, 1e-5) == pytest.approx(
            get_epsilon_gaussian(z / rounds**0.5, 1e-5), rel=1e-4
        )
    assert epsilon(1.0, 0, 1e-5) == 0.0


@accountant
def test_rounds_are_counted_kept_and_told() -> None:
    subject = private(4.0, 1.0)
    for round in range(3):
        subject.protect(0, round, [upload(0, round)], RULE)
    other = private(4.0, 1.0)
    other.load_state_dict(subject.state_dict())
    told = other.spent()["tasks"]["signs"]
    assert told["rounds"] == 3
    assert told["epsilon"] == pytest.approx(epsilon(4.0, 3, 1e-5))
    assert told["epsilon_replaced"] == pytest.approx(epsilon(2.0, 3, 1e-5))


def test_without_the_accountant_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("dp_accounting"):
            raise ModuleNotFoundError(name=name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"fleetlora\[privacy\]"):
        private(1.0, 1.0)


@pytest.mark.parametrize(
    "values",
    [
        {"noise_multiplier": 0.0},
        {"noise_multiplier": -1.0},
        {"delta": 0.0},
        {"delta": 1.0},
        {"clip_norm": 0.0},
    ],
)
def test_senseless_privacy_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"greater|less"):
        PrivacySettings(**values)


def test_an_update_below_its_received_rank_is_no_lie() -> None:
    pruned = replace(upload(0, rank=4), rank=2, adapter=update(2, 1))
    assert gate().admit(0, 0, [pruned])[1] == []
