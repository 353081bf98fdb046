"""What the lab plays: registered policies with the constants that the lab gives them, in the open.

The confidence width b is the one constant that an instance decides. Rewards here are Bernoulli, as noisy as
anything in [0, 1] can be, and the theorem in docs/theory.md then asks for b >= 1/sqrt(2). The policy's own
default is narrower: it is meant for the gains of federated rounds, which vary far less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fleetlora.errors import ConfigError
from fleetlora.registry import suggest
from fleetlora.regret.instances import Instance
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
    """

    name: str
    policy: str
    options: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""

    def make(self, instance: Instance, horizon: int) -> Policy:
        """Return a fresh policy that has been told what a policy is told before ``horizon`` rounds."""
        cls = POLICIES.get(self.policy)
        return cls(instance.context(horizon), cls.Options(**self.options))


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
        )
    }
)


_DEFAULTS = {
    "stationary": ("ucb-dual", "ucb-dual-paper", "ucb"),
    "drifting": ("ucb-dual", "ucb-dual-discounted"),
    "newcomers": ("ucb-dual", "ucb-dual-pooled", "ucb-dual-paper"),
}


def default_contenders(instance: str) -> list[Contender]:
    """Return what is played on an instance when nothing is named: what it is there to tell apart."""
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
