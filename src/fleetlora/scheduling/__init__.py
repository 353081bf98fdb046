"""Policies: how vehicles choose their LoRA rank. One file a policy, its formula in the docstring."""

from __future__ import annotations

from fleetlora.scheduling.fixed import Fixed
from fleetlora.scheduling.policy import (
    POLICIES,
    Account,
    Feedback,
    Offers,
    Policy,
    PolicyContext,
    checked_ranks,
)
from fleetlora.scheduling.ucb_dual import UcbDual
from fleetlora.scheduling.uniform import UniformRandom

__all__ = [
    "POLICIES",
    "Account",
    "Feedback",
    "Fixed",
    "Offers",
    "Policy",
    "PolicyContext",
    "UcbDual",
    "UniformRandom",
    "checked_ranks",
]
