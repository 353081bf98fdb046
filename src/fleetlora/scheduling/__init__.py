"""Policies: how vehicles choose their LoRA rank. One file a policy, its formula in the docstring."""

from __future__ import annotations

from fleetlora.scheduling.by_device import ByDevice
from fleetlora.scheduling.fixed import Fixed
from fleetlora.scheduling.greedy import Greedy
from fleetlora.scheduling.lp import Mix, best_mix
from fleetlora.scheduling.oracle_lp import OracleLp
from fleetlora.scheduling.policy import (
    POLICIES,
    Account,
    Feedback,
    Offers,
    Policy,
    PolicyContext,
    checked_ranks,
)
from fleetlora.scheduling.primal_dual_bwk import PrimalDualBwk
from fleetlora.scheduling.ucb_alp import UcbAlp
from fleetlora.scheduling.ucb_bv import UcbBv
from fleetlora.scheduling.ucb_dual import UcbDual
from fleetlora.scheduling.uniform import UniformRandom

__all__ = [
    "POLICIES",
    "Account",
    "ByDevice",
    "Feedback",
    "Fixed",
    "Greedy",
    "Mix",
    "Offers",
    "OracleLp",
    "Policy",
    "PolicyContext",
    "PrimalDualBwk",
    "UcbAlp",
    "UcbBv",
    "UcbDual",
    "UniformRandom",
    "best_mix",
    "checked_ranks",
]
