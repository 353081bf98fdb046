"""What the lab plays: registered policies with the constants that the lab gives them, in the open.

Confidence widths are what an instance decides. Rewards here are Bernoulli, as noisy as anything in [0, 1] can
be, so everybody has the width that theory asks for: UCB-DUAL b >= 1/sqrt(2) (docs/theory.md), UCB-ALP and
UCB-BV their papers' kappa = 1, PrimalDualBwK its paper's C of the order ln(2 T A), which is 12 to 16 for
3,000 to 100,000 rounds of eight decisions. The policies' own defaults are narrower: they are meant for the
gains of federated rounds, which vary far less. The rivals' guarantees are for plays that end with the budget,
and so theirs do here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fleetlora.errors import ConfigError
from fleetlora.registry import suggest
from fleetlora.regret.instances import INSTANCES, Instance
from fleetlora.scheduling import POLICIES, Policy

__all__ = ["CONTENDERS", "Contender", "default_contenders", "find_contender"]

_WIDTH = 0.75
_PAPER = {"skip": False, "pooled": False, "foresight": False, "bonus": _WIDTH}


@dataclass(frozen=True)
class Contender:
    """A policy with options.

    Attributes:
        name: What ``--policies`` calls it.
        policy: Name in the registry.
        options: Options that differ from the policy's defaults.
        about: What it is, in a few words.
        until_spent: Whether it sits out for good once the budget of the whole horizon is spent.
        told: What it is told of the instance beyond what a policy is told, as more options.
    """

    name: str
    policy: str
    options: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    until_spent: bool = False
    told: Callable[[Instance], Mapping[str, Any]] | None = None

    def make(self, instance: Instance, horizon: int) -> Policy:
        """Return a fresh policy that has been told what a policy is told before ``horizon`` rounds."""
        cls = POLICIES.get(self.policy)
        told = self.told(instance) if self.told else {}
        return cls(instance.context(horizon), cls.Options(**self.options, **told))


def _truth(instance: Instance) -> dict[str, Any]:
    """Return an instance's means and budget, as ``oracle-lp`` takes them.

    Raises:
        ConfigError: The means change; one mix for all is not the optimum then.
    """
    if not instance.steady:
        raise ConfigError(
            f"oracle-lp plays one mix, and the means of {instance.name!r} change",
            where="--policies",
            mend="play it on instances whose means stay: "
            + ", ".join(name for name, other in INSTANCES.items() if other.steady),
        )
    (piece,) = instance.pieces
    return {
        "reward": piece.reward.tolist(),
        "cost": piece.cost.tolist(),
        "budget_per_decision": instance.rho,
    }


#: Contenders by name. Any other policy of the registry can be played too, with its defaults.
CONTENDERS: Mapping[str, Contender] = MappingProxyType(
    {
        contender.name: contender
        for contender in (
            Contender(
                "ucb-dual",
                "ucb-dual",
                {"bonus": _WIDTH},
                "pooled statistics, foreseen joules, may sit out",
            ),
            Contender("ucb-dual-paper", "ucb-dual", _PAPER, "every vehicle learns rewards and joules alone"),
            Contender(
                "ucb-dual-pooled",
                "ucb-dual",
                _PAPER | {"pooled": True, "lean": 0.0},
                "rewards and joules learned per context of the fleet",
            ),
            Contender(
                "ucb-dual-discounted",
                "ucb-dual",
                {"bonus": _WIDTH, "discount": 0.998},
                "ucb-dual that forgets 0.2 % a round",
            ),
            Contender(
                "ucb-dual-tightened",
                "ucb-dual",
                _PAPER | {"tightened": 1.0},
                "the paper's form, aiming below the allotment",
            ),
            Contender("ucb", "ucb-dual", _PAPER | {"step": 0.0}, "plain UCB, without a price"),
            Contender(
                "ucb-alp", "ucb-alp", {"exploration": 1.0}, "best mix for what is left, kappa = 1", True
            ),
            Contender("ucb-bv", "ucb-bv", {"exploration": 1.0}, "best reward per joule, kappa = 1", True),
            Contender(
                "primal-dual-bwk",
                "primal-dual-bwk",
                {"confidence": 14.0},
                "joules and time priced by weights, C of the order ln(2TA)",
                True,
            ),
            Contender("oracle-lp", "oracle-lp", about="the best mix, told the means", told=_truth),
        )
    }
)


_RIVALS = ("ucb-alp", "ucb-bv", "primal-dual-bwk")
_DEFAULTS = {
    "stationary": ("ucb-dual", "ucb-dual-paper", "ucb", *_RIVALS),
    "drifting": ("ucb-dual", "ucb-dual-discounted", *_RIVALS),
    "newcomers": ("ucb-dual", "ucb-dual-pooled", "ucb-dual-paper", *_RIVALS),
}


def default_contenders(instance: str) -> list[Contender]:
    """Return what is played on an instance when nothing is named: what it tells apart, and the rivals."""
    return [CONTENDERS[name] for name in _DEFAULTS[instance]]


def find_contender(name: str) -> Contender:
    """Return the contender called ``name``, or the policy of that name with its defaults.

    Raises:
        ConfigError: There is neither; the message suggests the nearest name.
    """
    if name in CONTENDERS:
        return CONTENDERS[name]
    if name in POLICIES:
        return Contender(name, name, about="defaults")
    known = sorted({*CONTENDERS, *POLICIES.names()})
    raise ConfigError(f"unknown policy {name!r}", where="--policies", mend=suggest(name, known))
