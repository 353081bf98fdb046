"""Joules of each phase against hand calculations, and the bound that budgets are reserved with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fleetlora.physics import DEFAULT_DEVICES, DeviceClass, DeviceColumns, EnergyModel, RsuPower

ODD = DeviceClass(  # receiving is dearer than anything else
    name="odd", share=1.0, flops_per_s=1e9, power_compute_w=2.0, power_rx_w=9.0, power_tx_w=4.0,
    power_idle_w=1.0, frequency_hz=1e9, kappa=5e-27,
)  # fmt: skip
DEVICES = DeviceColumns.of([*DEFAULT_DEVICES, ODD], np.arange(5))


def test_each_phase_costs_its_watts_times_its_seconds() -> None:
    # telematics: 2 s · 1.8 W = 3.6 J down, 10 s · 3.5 W = 35 J computing, 4 s · 3.5 W = 14 J up.
    joules = EnergyModel().energy_j([2.0], [10.0], [4.0], DEVICES.take(np.array([0])))
    assert joules.download_j.tolist() == pytest.approx([3.6])
    assert joules.compute_j.tolist() == pytest.approx([35.0])
    assert joules.upload_j.tolist() == pytest.approx([14.0])
    assert joules.idle_j.tolist() == [0.0]
    assert joules.total_j.tolist() == pytest.approx([52.6])


def test_idle_draw_is_charged_only_if_asked_and_over_the_whole_update() -> None:
    # (2 + 10 + 4 + 3) s · 1.5 W = 28.5 J
    telematics = DEVICES.take(np.array([0]))
    charged = EnergyModel(count_idle=True).energy_j([2.0], [10.0], [4.0], telematics, idle_s=[3.0])
    assert charged.idle_j.tolist() == pytest.approx([28.5])
    assert EnergyModel().energy_j([2.0], [10.0], [4.0], telematics, idle_s=[3.0]).idle_j.tolist() == [0.0]


def test_kappa_kind_costs_kappa_f_cubed_while_computing() -> None:
    # 5e-27 · (1e9)³ = 5 W, for 3 s: 15 J; transfers cost their watts as before.
    joules = EnergyModel(kind="kappa").energy_j([1.0], [3.0], [1.0], DEVICES.take(np.array([4])))
    assert joules.compute_j.tolist() == pytest.approx([15.0])
    assert (joules.download_j + joules.upload_j).tolist() == pytest.approx([13.0])


def test_rsu_radio_costs_its_draw_above_sleep() -> None:
    # EARTH pico: 6.8 + 4.0·0.2 − 4.3 = 3.3 W sending, 6.8 − 4.3 = 2.5 W receiving.
    assert RsuPower().energy_j([2.0], [4.0]).tolist() == pytest.approx([2 * 3.3 + 4 * 2.5])


def test_worst_case_is_the_dearer_corner() -> None:
    # telematics, 10 s of computing, 30 s deadline: 10·3.5 + 20·max(1.8, 3.5) = 105 J.
    # odd device: stuck in the download for 30 s · 9 W = 270 J is worse than 10·2 + 20·9 = 200 J.
    worst = EnergyModel().worst_case_j(10.0, 30.0, DEVICES.take(np.array([0, 4])))
    assert worst.tolist() == pytest.approx([105.0, 270.0])
    # Computing that outlasts the deadline is cut there: 30 s · 3.5 W, or idle draw on top.
    telematics = DEVICES.take(np.array([0]))
    assert EnergyModel().worst_case_j(99.0, 30.0, telematics).tolist() == pytest.approx([105.0])
    assert EnergyModel(count_idle=True).worst_case_j(10.0, 30.0, telematics).tolist() == pytest.approx(
        [150.0]
    )


def test_an_update_of_fewer_steps_may_cost_more_where_the_radio_is_dearer() -> None:
    # kappa·f³ = 1e-28 · (2e9)³ = 0.8 W of computing beside 4 W of sending; 10 s of 30 are planned
    thrifty = ODD.model_copy(update={"kappa": 1e-28, "frequency_hz": 2e9, "power_rx_w": 1.0})
    model, device = EnergyModel(kind="kappa"), DeviceColumns.of([thrifty], np.array([0]))
    planned, early = (model.worst_case_j(10.0, 30.0, device, fastest=f)[0] for f in (1.0, 0.2))
    assert planned == pytest.approx(10 * 0.8 + 20 * 4.0)
    assert early == pytest.approx(2 * 0.8 + 28 * 4.0)


@given(
    deadline=st.floats(0, 100),
    compute=st.floats(0, 150),
    cut=st.floats(0, 1),
    split=st.floats(0, 1),
    kind=st.sampled_from(["power", "kappa"]),
    idle=st.booleans(),
)
def test_no_course_of_events_costs_more_than_the_worst_case(
    deadline: float, compute: float, cut: float, split: float, kind: str, idle: bool
) -> None:
    # Download for any time, then compute, then upload, all cut at any moment up to the deadline.
    end = cut * deadline
    down_s = split * end
    compute_s = min(compute, end - down_s)
    up_s = max(end - down_s - compute, 0.0)
    model = EnergyModel(kind=kind, count_idle=idle)
    ones = np.ones(5)
    joules = model.energy_j(
        down_s * ones, compute_s * ones, up_s * ones, DEVICES, idle_s=(deadline - end) * ones
    )
    assert (joules.total_j <= model.worst_case_j(compute, deadline, DEVICES) * (1 + 1e-12) + 1e-9).all()


@pytest.mark.parametrize(
    ("settings_type", "values"),
    [(EnergyModel, {"kind": "kapa"}), (RsuPower, {"power_tx_w": -1.0})],
)
def test_impossible_settings_are_refused_by_name(settings_type: type, values: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        settings_type(**values)
