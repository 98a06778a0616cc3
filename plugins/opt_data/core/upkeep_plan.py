"""What weekly upkeep does to which weeks: decided from what is stored and the date, carried out elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

HOT_CODEC = "snappy"
DAMAGED = "damaged"
"""Stands for the codec of a compacted file that cannot be read."""

SymbolDay = tuple[str, date]


@dataclass(frozen=True, slots=True)
class UpkeepRules:
    """The settings upkeep decides by; days are calendar days.

    ``with_running_week`` also compacts the week that is not over yet.
    """

    cold_after_days: int
    cold_codec: str
    keep_days: int
    with_running_week: bool = False


@dataclass(frozen=True, slots=True)
class StoredWeek:
    """What is stored of one week of intraday chains.

    ``last_day`` is the last day with rows. ``loose_files`` are clean files of one slot each, ``packed_codecs`` the
    codecs of the compacted ones, ``DAMAGED`` among them if one cannot be read. ``not_rolled_up`` are the symbol-days
    without rows in ``daily_clean``: looked up, and of use, only for weeks old enough to be retired.
    """

    monday: date
    last_day: date
    loose_files: int
    packed_codecs: frozenset[str]
    not_rolled_up: tuple[SymbolDay, ...] = ()


@dataclass(frozen=True, slots=True)
class PackWeek:
    """Compact a week with this codec."""

    monday: date
    codec: str
    reason: str


@dataclass(frozen=True, slots=True)
class RetireWeek:
    """Delete a week's intraday rows, raw and clean, or move them to the cold path."""

    monday: date


@dataclass(frozen=True, slots=True)
class HoldWeek:
    """Keep a week that is old enough to go, because these symbol-days are not rolled up."""

    monday: date
    not_rolled_up: tuple[SymbolDay, ...]


@dataclass(frozen=True, slots=True)
class UpkeepPlan:
    """What to do, oldest week first. ``refused`` says why nothing is retired although weeks are old enough."""

    pack: tuple[PackWeek, ...]
    retire: tuple[RetireWeek, ...]
    hold: tuple[HoldWeek, ...]
    refused: str = ""


def plan_upkeep(weeks: Sequence[StoredWeek], today: date, rules: UpkeepRules) -> UpkeepPlan:
    """Decide what becomes of each week.

    * A week is retired as a whole, once its last day is more than ``keep_days`` old and all its symbol-days are rolled
      up. One symbol-day that is not holds back its week.
    * If every stored week would go, none goes: the date or the setting is more likely wrong than meant so.
    * A week is finished on its Saturday. Finished weeks with loose files are compacted, and so are those whose
      compacted files do not have the cold codec though their last day is ``cold_after_days`` old, or cannot be read.
    """
    expired = [week for week in weeks if is_expired(week.last_day, today, rules.keep_days)]
    hold = tuple(HoldWeek(week.monday, week.not_rolled_up) for week in expired if week.not_rolled_up)
    retire = [week for week in expired if not week.not_rolled_up]
    refused = ""
    if retire and len(retire) == len(weeks):
        refused = (
            f"retention of {rules.keep_days} days on {today} would take all {len(weeks)} stored weeks, the newest day "
            f"is {max(week.last_day for week in weeks)}: check the run's date and intraday_keep_days; to empty a store "
            "delete its folders yourself"
        )
        retire = []
    gone = {week.monday for week in retire}
    pack = [
        action for week in weeks if week.monday not in gone and (action := _packing(week, today, rules)) is not None
    ]
    return UpkeepPlan(
        tuple(sorted(pack, key=lambda action: action.monday)),
        tuple(RetireWeek(monday) for monday in sorted(gone)),
        tuple(sorted(hold, key=lambda action: action.monday)),
        refused,
    )


def is_expired(last_day: date, today: date, keep_days: int) -> bool:
    """Whether rows of a day are older than they are kept."""
    return today - last_day > timedelta(days=keep_days)


def _packing(week: StoredWeek, today: date, rules: UpkeepRules) -> PackWeek | None:
    is_finished = today >= week.monday + timedelta(days=5)
    if not (is_finished or (rules.with_running_week and week.monday <= today)):
        return None
    is_cold = today - week.last_day >= timedelta(days=rules.cold_after_days)
    codec = rules.cold_codec if is_cold else HOT_CODEC
    if week.loose_files:
        return PackWeek(week.monday, codec, f"{week.loose_files} files of one slot")
    if DAMAGED in week.packed_codecs:
        return PackWeek(week.monday, codec, "a damaged compacted file")
    if is_cold and week.packed_codecs - {codec}:
        return PackWeek(week.monday, codec, f"{', '.join(sorted(week.packed_codecs))} to {codec}")
    return None
