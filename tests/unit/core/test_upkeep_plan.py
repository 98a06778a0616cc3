"""What upkeep decides, by date and by what is stored."""

from datetime import date, timedelta

from opt_data.core.upkeep_plan import HoldWeek, PackWeek, RetireWeek, StoredWeek, UpkeepRules, plan_upkeep

RULES = UpkeepRules(cold_after_days=14, cold_codec="zstd", keep_days=60)
MONDAY, SATURDAY = date(2025, 11, 24), date(2025, 11, 29)
HOT, COLD = frozenset({"snappy"}), frozenset({"zstd"})


def week(monday: date = MONDAY, loose: int = 0, codecs: frozenset[str] = HOT, missing=()) -> StoredWeek:
    return StoredWeek(monday, monday + timedelta(days=4), loose, codecs, missing)


def ago(weeks: int) -> date:
    return MONDAY - timedelta(weeks=weeks)


def test_a_week_is_compacted_from_its_saturday_on() -> None:
    stored = [week(loose=70, codecs=frozenset())]
    assert plan_upkeep(stored, SATURDAY - timedelta(days=1), RULES).pack == ()
    assert plan_upkeep(stored, SATURDAY, RULES).pack == (PackWeek(MONDAY, "snappy", "70 files of one slot"),)


def test_the_running_week_is_compacted_only_where_that_is_asked_for() -> None:
    eager = UpkeepRules(14, "zstd", 60, with_running_week=True)
    assert plan_upkeep([week(loose=70)], MONDAY, eager).pack[0].monday == MONDAY


def test_a_compacted_week_is_left_alone_until_it_is_cold() -> None:
    friday = MONDAY + timedelta(days=4)
    assert plan_upkeep([week()], friday + timedelta(days=13), RULES).pack == ()
    (action,) = plan_upkeep([week()], friday + timedelta(days=14), RULES).pack
    assert (action.codec, action.reason) == ("zstd", "snappy to zstd")
    assert plan_upkeep([week(codecs=COLD)], friday + timedelta(days=14), RULES).pack == ()


def test_a_cold_week_is_not_warmed_up_by_a_backfill_of_an_earlier_saturday() -> None:
    assert plan_upkeep([week(codecs=COLD)], SATURDAY, RULES).pack == ()


def test_late_files_of_a_cold_week_are_merged_in_its_codec() -> None:
    (action,) = plan_upkeep([week(ago(4), loose=2, codecs=COLD)], SATURDAY, RULES).pack
    assert action.codec == "zstd"


def test_a_week_goes_when_its_last_day_is_older_than_it_is_kept() -> None:
    stored = [week(ago(8), codecs=COLD), week()]
    last = ago(8) + timedelta(days=4)
    assert plan_upkeep(stored, last + timedelta(days=60), RULES).retire == ()
    plan = plan_upkeep(stored, last + timedelta(days=61), RULES)
    assert plan.retire == (RetireWeek(ago(8)),)
    assert [action.monday for action in plan.pack] == []


def test_what_goes_is_not_compacted_first() -> None:
    plan = plan_upkeep([week(ago(10), loose=9), week()], SATURDAY, RULES)
    assert (plan.retire, plan.pack) == ((RetireWeek(ago(10)),), ())


def test_nothing_that_is_not_rolled_up_goes() -> None:
    missing = (("AAPL", ago(10)),)
    plan = plan_upkeep([week(ago(10), loose=9, missing=missing), week(ago(11)), week()], SATURDAY, RULES)
    assert plan.hold == (HoldWeek(ago(10), missing),)
    assert plan.retire == (RetireWeek(ago(11)),)
    assert [action.monday for action in plan.pack] == [ago(10)]


def test_everything_at_once_is_refused_with_the_reason() -> None:
    plan = plan_upkeep([week(ago(10)), week(ago(11))], date(2035, 1, 6), RULES)
    assert plan.retire == ()
    assert "all 2 stored weeks" in plan.refused
    assert "2025-09-19" in plan.refused
    assert plan_upkeep([], SATURDAY, RULES).refused == ""
