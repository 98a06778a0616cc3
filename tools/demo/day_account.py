"""Whether a simulated day adds up: every expected contract of every slot, the missed slot, the day, open interest."""

from collections.abc import Iterator, Sequence

from opt_data.core.slots import Slot
from tools.demo.day_files import DayFiles, DayResult, SlotResult
from tools.demo.day_plan import DayPlan


def problems(plan: DayPlan, files: DayFiles, universe: Sequence[str], min_filled_pct: float) -> list[str]:
    """Everything that is not accounted for; empty means nothing is missing without being counted.

    Parameters
    ----------
    min_filled_pct
        Share of a symbol's contracts, those that live on, that must have open interest of this session.
    """
    found = []
    for slot in plan.slots:
        for symbol in universe:
            result = files.slots.get((slot.index, symbol))
            why = "not in the slot ledger" if result is None else _slot_problem(result, is_missed=slot == plan.missed)
            if why:
                found.append(f"slot {slot.label} {symbol}: {why}")
    for symbol in universe:
        day = files.days.get(symbol)
        reasons = ["no row per contract in daily_clean"] if day is None else _day_problems(day, min_filled_pct)
        found += [f"day {symbol}: {why}" for why in reasons]
    return found


def _slot_problem(result: SlotResult, *, is_missed: bool) -> str | None:
    kept, stored = result.kept, sum(result.modes.values())
    if result.expected == 0:
        return "no contract was expected, so there is no contract set"
    if result.expected != kept + result.missing + result.error:
        return f"{result.expected} expected, but {kept} + {result.missing} + {result.error} accounted for"
    if result.rows != result.expected:
        return f"{result.expected} contracts expected, {result.rows} rows stored"
    if stored != kept:
        return f"the ledger counts {kept} quotes, the files hold {stored}"
    if kept == 0:
        return f"not one quote was kept ({result.reasons})"
    if is_missed and set(result.modes) != {"rebuilt"}:
        return f"was missed and must be rebuilt, but its quotes are {', '.join(sorted(result.modes))}"
    if not is_missed and "rebuilt" in result.modes:
        return "was captured, but has rebuilt quotes"
    return None


def _day_problems(day: DayResult, min_filled_pct: float) -> Iterator[str]:
    if not day.rows == day.captured == day.matching:
        yield f"{day.captured} contracts in its slots, {day.rows} rows in daily_clean, {day.matching} of them the same"
    if day.adjusted != day.rows:
        yield f"{day.rows} rows in daily_clean, {day.adjusted} in daily_adjusted"
    if day.open_interest * 100 < min_filled_pct * day.living:
        yield f"open interest of this session for {day.open_interest} of {day.living} contracts only"


def kept_and_expected(files: DayFiles, slots: Sequence[Slot]) -> tuple[int, int]:
    """Quotes and expected contracts of these slots, all symbols together."""
    indices = {slot.index for slot in slots}
    results = [result for (index, _), result in files.slots.items() if index in indices]
    return sum(result.kept for result in results), sum(result.expected for result in results)
