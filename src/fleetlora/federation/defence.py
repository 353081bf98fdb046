"""How an RSU defends itself: which checks, which bound, which robust rule, and what stands in a preset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from fleetlora.lora.robust_rules import ROBUST_RULES
from fleetlora.sections import rule_of
from fleetlora.settings import Settings, quantity

if TYPE_CHECKING:
    from fleetlora.lora.robust import RobustRule

__all__ = ["DefenceSettings"]

#: What a preset sets; single keys are laid over it.
_PRESETS: dict[str, dict[str, Any]] = {
    "none": {"checks": False},
    "checks": {},
    "default": {"norm_bound": 6.0, "rule": "trimmed-mean", "report_trim": 0.25, "quarantine_rounds": 10},
}


class DefenceSettings(Settings):
    """What an RSU refuses, and how it merges the rest.

    The preset ``checks`` refuses only what no honest vehicle ever sends, so it changes no honest run;
    ``default`` may leave out an honest update that is unlike the others, and costs a little accuracy.
    """

    preset: Literal["none", "checks", "default"] = quantity(
        "checks", "1", "what the other keys are unless given: none, checks alone, or the default defence"
    )
    checks: bool = quantity(
        True,
        "1",
        "refuse updates that are not finite, of a wrong shape or rank, stale, replayed or doubled,"
        " and reports of a rank that the vehicle was not sent",
    )
    norm_bound: float | None = quantity(
        None, "MAD", "refuse changes whose norm is so many deviations above the median; none: never", gt=0
    )
    norm_window: int = quantity(100, "updates", "accepted updates of the task that the median is over", ge=1)
    norm_warmup: int = quantity(5, "updates", "with fewer norms known, none is refused", ge=3)
    rule: str = Field("mean", description="the robust rule by which an RSU merges the updates it accepts")
    rule_options: dict[str, Any] = Field(default_factory=dict, description="the rule's own options")
    report_trim: float | None = quantity(
        None,
        "1",
        "clip the rewards and joules that vehicles report to what the middle of the fleet reports for the"
        " same rank: without so large a part at each end; none: as reported",
        "Winsorised mean: Dixon 1960",
        gt=0,
        lt=0.5,
    )
    report_window: int = quantity(50, "vehicles", "newest reports for a rank that the middle is of", ge=3)
    quarantine_rounds: int = quantity(
        0, "rounds", "whoever was refused is admitted to no task for so many rounds", ge=0
    )
    report_warmup: int = quantity(5, "vehicles", "with fewer reports for a rank, none is clipped", ge=3)

    @model_validator(mode="before")
    @classmethod
    def _over_preset(cls, data: Any) -> Any:
        preset = data.get("preset", "checks") if isinstance(data, Mapping) else None
        return {**_PRESETS[preset], **data} if preset in _PRESETS else data

    @model_validator(mode="after")
    def _rule(self) -> DefenceSettings:
        if self.rule != "mean":  # the plain way needs no rule to be loaded
            self.robust_rule()
        return self

    def robust_rule(self) -> RobustRule:
        """Return the robust rule.

        Raises:
            ConfigError: There is no such rule, or it has no such option.
        """
        return rule_of(ROBUST_RULES, "defence", self.rule, self.rule_options)
