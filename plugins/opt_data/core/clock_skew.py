"""How far the gateway's clock is from ours, as far as one answer in whole seconds can tell."""

from dataclasses import dataclass
from datetime import datetime

SKEW_MAX_S = 1.0
"""Up to here a clock counts as right."""
RESOLUTION_S = 1.0
"""The gateway tells its time in whole seconds, cut off."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The gateway was asked its time at ``asked_at`` and the answer came at ``answered_at``, both by our clock.

    Examples
    --------
    >>> from datetime import datetime, timedelta, UTC
    >>> nine = datetime(2025, 11, 24, 14, tzinfo=UTC)
    >>> reading = ClockReading(nine, nine + timedelta(seconds=0.2), nine + timedelta(seconds=3))
    >>> reading.skew_s, reading.uncertainty_s, reading.is_skewed
    (3.4, 0.6, True)
    """

    asked_at: datetime
    answered_at: datetime
    gateway_time: datetime

    @property
    def skew_s(self) -> float:
        """The gateway's clock less ours, seconds; above 0 it is ahead. The middle of what is possible."""
        middle = self.asked_at + (self.answered_at - self.asked_at) / 2
        return (self.gateway_time - middle).total_seconds() + RESOLUTION_S / 2

    @property
    def uncertainty_s(self) -> float:
        """How far the real skew may be from ``skew_s``: half the resolution and half the round trip."""
        return RESOLUTION_S / 2 + (self.answered_at - self.asked_at).total_seconds() / 2

    @property
    def is_skewed(self) -> bool:
        """Whether the clocks differ by more than ``SKEW_MAX_S`` whatever the rest of the second and the way took."""
        return abs(self.skew_s) - self.uncertainty_s > SKEW_MAX_S
