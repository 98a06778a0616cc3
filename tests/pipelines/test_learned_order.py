"""Slot after slot against a simulated gateway where some contracts never say anything."""

import asyncio
from datetime import datetime, timedelta

from opt_data.core.allowance import Resource
from opt_data.core.dwell import DwellKnowledge, Experience
from tests.pipelines.conftest import TEN

DEADLINE_S = 3.2
HALF_AN_HOUR = timedelta(minutes=30)


def requests(desk):
    """The gateway's journal of option requests, in the order of asking: conid, asked at, seconds the line was held."""
    conids = {row["conid"] for row in desk.rows()}
    found = []
    for one in desk.gateway.control.sent():
        if one["conid"] in conids:
            began, ended = (datetime.fromisoformat(one[name]) for name in ("requested_at", "ended_at"))
            found.append((one["conid"], began, (ended - began).total_seconds()))
    return sorted(found, key=lambda one: one[1])


async def test_silent_contracts_cost_the_first_slot_and_no_later_one(desk):
    """Seven lines, one of them the underlying's; six contracts never answer, the nearest to the money among them."""
    desk = desk(
        CAPTURE__READY_TIMEOUT_S=str(DEADLINE_S),
        CAPTURE__FALLBACK_EXCHANGES="[]",
        GATEWAY__CONCURRENT_SNAPSHOTS_MAX="7",
    )
    found = (await desk.discover()).contract_set
    by_distance = sorted(found.contracts, key=lambda one: abs(one.strike - found.reference_price))
    silent = {one.conid for one in by_distance[::4]}
    assert len(silent) == 6
    desk.gateway.control.faults(silent_conids=sorted(silent))

    seen, accounts = [], []
    # on time, on time, and eight minutes late
    for slot_at, late in ((TEN, 0), (TEN + HALF_AN_HOUR, 0), (TEN + 2 * HALF_AN_HOUR, 8)):
        desk.gateway.control.set_clock((slot_at + timedelta(minutes=late)).isoformat())
        desk.gateway.control.reset_counters()
        accounts.append((await desk.capture(slot=desk.slot(slot_at))).account)
        seen.append(requests(desk))

    first, second, third = seen
    assert [(one.kept, one.missing) for one in accounts] == [(18, 6)] * 3
    # the first slot knows nothing: silent contracts stand among the others
    assert {conid for conid, _, _ in first[-6:]} != silent
    # the second asks them last, so that no other contract waited for a line of theirs
    assert {conid for conid, _, _ in second[-6:]} == silent
    assert waited_s(second, silent) < waited_s(first, silent) / 4
    # in time they keep their deadline, late they do not
    assert held_s(second, silent) > 0.9 * 6 * DEADLINE_S
    assert held_s(third, silent) < 0.8 * 6 * DEADLINE_S


async def test_when_not_all_can_be_on_time_the_nearest_to_the_money_are(desk):
    """Three lines for options, half a second each, and three seconds of grace: 24 contracts are too many."""
    desk = desk(
        {"dwell": {"kind": "fixed", "low_s": 0.5}}, GATEWAY__CONCURRENT_SNAPSHOTS_MAX="4", CAPTURE__SLOT_GRACE_S="3"
    )
    found = (await desk.discover("SPY")).contract_set
    desk.gateway.control.set_clock(TEN.isoformat())
    desk.gateway.control.reset_counters()

    await desk.capture("SPY")

    away_pct = {one.conid: round(100 * abs(one.strike / found.reference_price - 1)) for one in found.contracts}
    asked = [away_pct[one["conid"]] for one in desk.gateway.control.sent() if one["conid"] in away_pct]
    assert len(asked) == 24
    assert asked == sorted(asked)
    away = {mode: [away_pct[row["conid"]] for row in desk.rows("SPY") if row["capture_mode"] == mode]
                for mode in ("on_time", "late")}  # fmt: skip
    assert away["late"]
    assert max(away["on_time"], default=0) <= min(away["late"])


async def test_a_silent_contract_gives_its_line_to_another_task(desk):
    """It has twelve seconds, and half a minute is left; but somebody else waits for a line."""
    desk = desk(CAPTURE__READY_TIMEOUT_S="12", CAPTURE__FALLBACK_EXCHANGES="[]", GATEWAY__CONCURRENT_SNAPSHOTS_MAX="4")
    found = (await desk.discover()).contract_set
    silent = min(found.contracts, key=lambda one: abs(one.strike - found.reference_price)).conid
    desk.stores.dwell.save(
        "AAPL", DwellKnowledge({"AAPL at0 d1": Experience(20, 0.9, 0.1, 0.2)}, {silent: Experience(3, 0.0)})
    )
    desk.gateway.control.faults(silent_conids=[silent])
    desk.gateway.control.set_clock(TEN.isoformat())
    desk.gateway.control.reset_counters()

    async def want_lines():
        share = desk.share()
        while True:
            share.take(Resource.LINE)
            await asyncio.sleep(0.1)

    other = asyncio.create_task(want_lines())
    outcome = await desk.capture(strikes=1)
    other.cancel()

    assert outcome.account.reasons == {"timed_out": 1, "no_row": 12}
    conid, _, seconds = requests(desk)[-1]
    assert conid == silent
    assert 2.0 <= seconds < 6.0


async def test_what_was_learned_and_got_lost_costs_nothing_but_time(desk):
    desk = desk()
    await desk.discover()
    desk.gateway.control.set_clock(TEN.isoformat())
    await desk.capture()
    path = desk.settings.paths.dwell / "AAPL.json"
    path.write_text(path.read_text()[:40])
    desk.gateway.control.set_clock((TEN + HALF_AN_HOUR).isoformat())

    outcome = await desk.capture(slot=desk.slot(TEN + HALF_AN_HOUR))

    assert outcome.account.on_time == 24
    assert '"format":1' in path.read_text()


def held_s(asked, conids):
    """Line-seconds that these contracts cost."""
    return sum(seconds for conid, _, seconds in asked if conid in conids)


def waited_s(asked, conids):
    """Line-seconds that these contracts held while others were still to be asked."""
    last = max(began for conid, began, _ in asked if conid not in conids)
    return sum(
        min(seconds, (last - began).total_seconds())
        for conid, began, seconds in asked
        if conid in conids and began < last
    )
