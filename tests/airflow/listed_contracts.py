"""Which contracts the market lists near the money: what each day's set has to be."""

from dataclasses import dataclass
from datetime import date, timedelta

from tests.airflow.three_weeks import new_york
from tests.airflow.three_weeks_story import CONIDS, EX_DATE, Story


@dataclass(frozen=True)
class Listed:
    """An option that the market lists."""

    underlying: str
    conid: int
    expiry: date
    right: str
    strike: float

    @property
    def symbol(self) -> str:
        """The 21 characters of OCC's Options Symbology Initiative."""
        return f"{self.underlying:<6}{self.expiry:%y%m%d}{self.right}{round(self.strike * 1000):08d}"


def previous_close(story: Story, symbol: str, day: date) -> float:
    """What the market says of the underlying just before the open, in the terms of the day."""
    return float(story.control.truth(CONIDS[symbol], new_york(day, "09:29"))["last"])


def listed(story: Story, symbol: str, day: date) -> list[Listed]:
    """The day's contracts by the settings: two expiries, and of each the nearest strikes on both sides."""
    story.backfills.at(day, "12:00")
    middle, found = previous_close(story, symbol, day), []
    for expiry in _expiries(day):
        for strike in (_nearest(story, symbol, expiry, middle, -1), _nearest(story, symbol, expiry, middle, 1)):
            for right in ("C", "P"):
                (conid,) = story.control.find(symbol, f"{expiry:%Y%m%d}", strike, right)
                found.append(Listed(symbol, conid, expiry, right, strike))
    return found


def _expiries(day: date) -> list[date]:
    """Of the Fridays of a month from a day on the third of its month first, then the nearest; two of them."""
    month_later = date(day.year + day.month // 12, day.month % 12 + 1, day.day)
    days = (day + timedelta(days=ahead) for ahead in range((month_later - day).days + 1))
    fridays = sorted((not 15 <= friday.day <= 21, friday) for friday in days if friday.weekday() == 4)
    return [friday for _, friday in fridays[:2]]


def _nearest(story: Story, symbol: str, expiry: date, price: float, side: int) -> float:
    """The nearest strike listed at or below a price, or above it.

    Strikes are whole half dollars, and after a split whole cents.
    """
    steps = 100 if symbol == "NVDA" and story.control.clock().date() >= EX_DATE else 2
    place = int(price * steps + 1e-9) + (side > 0)
    while not story.control.find(symbol, f"{expiry:%Y%m%d}", place / steps, "C"):
        place += side
    return place / steps
