"""Facts about ranks by device class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fleetlora.errors import ConfigError
from fleetlora.rng import stream
from fleetlora.scheduling import ByDevice
from fleetlora.testing import check_policy
from tests.scheduling.fleet import context, offers


def _chosen(policy: ByDevice, **changes: object) -> list[int]:
    here = offers(policy.context, vehicle=range(len(policy.context.device_names)), **changes)
    return policy.select(here, stream(0)).tolist()


def test_faster_classes_get_higher_ranks_evenly() -> None:
    # speeds 1e10 < 5e10 < 2e11, four arms: levels 0, 1, 2 -> arms 0, floor(1.5 + 0.5) = 2, 3
    assert _chosen(ByDevice(context(), ByDevice.Options())) == [2, 8, 16]


def test_the_order_of_the_classes_does_not_matter_and_equal_speeds_get_equal_ranks() -> None:
    about = replace(context(), device_flops_per_s=np.array([2e11, 1e10, 2e11]))
    assert _chosen(ByDevice(about, ByDevice.Options())) == [16, 2, 16]


def test_a_fleet_of_one_class_trains_the_highest_rank() -> None:
    assert _chosen(ByDevice(context(devices=1), ByDevice.Options())) == [16]


def test_more_classes_than_arms_share_arms() -> None:
    about = context(ranks=np.array([4, 8]))
    assert _chosen(ByDevice(about, ByDevice.Options())) == [4, 8, 8]


def test_a_mapping_overrides_the_classes_it_names() -> None:
    policy = ByDevice(context(), ByDevice.Options(ranks={"small": 4, "large": 2}))
    assert _chosen(policy) == [4, 8, 2]


def test_an_infeasible_rank_falls_to_the_next_lower_one_else_the_vehicle_sits_out() -> None:
    feasible = np.array([[0, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 0]])
    assert _chosen(ByDevice(context(), ByDevice.Options()), feasible=feasible) == [0, 2, 8]


def test_a_rank_that_is_not_an_arm_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"policy\.ranks\.small.*rank 3 is not one of the arms"):
        ByDevice(context(), ByDevice.Options(ranks={"small": 3}))


def test_an_unknown_class_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'medium'"):
        ByDevice(context(), ByDevice.Options(ranks={"medum": 4}))


def test_it_keeps_the_contract_with_a_mapping() -> None:
    check_policy(ByDevice, ranks={"small": 16, "medium": 8, "large": 4})
