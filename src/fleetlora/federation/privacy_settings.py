"""Configuration of differential privacy, free of torch and of the accountant."""

from __future__ import annotations

from fleetlora.settings import Settings, quantity

__all__ = ["PrivacySettings"]


class PrivacySettings(Settings):
    """Clipping and noise on every update; off without a noise multiplier."""

    noise_multiplier: float | None = quantity(
        None, "1", "z: standard deviation of the noise, in clipping norms; none: no privacy", gt=0
    )
    clip_norm: float = quantity(1.0, "1", "C: largest norm of what an update changes", gt=0)
    delta: float = quantity(1e-5, "1", "delta at which epsilon is told", "a common setting", gt=0, lt=1)

    @property
    def on(self) -> bool:
        """Whether updates are protected."""
        return self.noise_multiplier is not None

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise in every coordinate, z·C."""
        return (self.noise_multiplier or 0.0) * self.clip_norm
