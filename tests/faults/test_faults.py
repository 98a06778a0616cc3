"""Each fault of the catalogue, played to a desk: what is stored, what is counted, and what the person on call sees."""

import asyncio
import math
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import RetryAction

from opt_data import errors
from opt_data.bootstrap import intraday_universe
from opt_data.core.contracts import ContractSet
from opt_data.core.sessions import NEW_YORK
from opt_data.core.slots import Slot
from opt_data.operators.retries import IB_RETRIES
from opt_data.pipelines.give_up_slot import give_up_slot
from opt_data.pipelines.report_slot import report_slot
from tests.faults.steps import Steps
from tests.pipelines.conftest import Desk
from tests.pipelines.gateway_told import told
from tools.fault_catalogue import During, Fault, Outcome, RowCheck, Try, load_faults

PRICES = ("bid", "ask", "last", "bid_size", "ask_size", "iv", "delta", "gamma", "vega", "theta", "und_bid", "und_ask")


@pytest.mark.parametrize("fault", load_faults(), ids=lambda fault: f"{fault.section}-{fault.name}")
async def test_fault(
    fault: Fault, prepared: Callable[..., Desk], contract_set: ContractSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = prepared(dict(fault.scenario), clock=fault.at, **fault.settings)
    steps = Steps(desk, contract_set, monkeypatch)
    for number, one in enumerate(fault.tries, 1):
        steps.perform(one.before)
        if one.is_killed:
            await kill(desk, one)
            continue
        outcome, error = await attempt(desk, one, steps, number)

        assert type(error).__name__ == (one.raises or "NoneType"), f"try {number}: {error!r}"
        assert re.search(one.says, str(error)), f"try {number}: {error}"
        assert task_state(error) == expected_state(one), f"try {number}"
        if one.asked is not None:
            assert outcome.asked == one.asked
        if one.filled:
            assert is_number(outcome.filled, one.filled, {"all": outcome.expected, "none": 0}), outcome
            assert (outcome.wait_s is not None) == one.waits
        if one.is_last:
            assert isinstance(error, errors.TransientError)
            give_up_slot(desk.job(slot=slot_at(desk, one.slot), attempt=number), contract_set, error, desk.stores)
        if one.after is not None:
            check_outcome(desk, slot_at(desk, one.slot), one.after)
        for check in one.rows:
            check_rows(desk, slot_at(desk, one.slot), check, steps)
    seen = desk.gateway.control.stats()
    assert {str(code) for code in fault.codes} <= set(seen["errors_sent"])
    assert seen["lines_open"] == 0 or seen["clients"], "a line is held by nobody"
    slot = slot_at(desk, fault.tries[-1].slot)
    check_every_row(desk, slot, steps)
    if fault.reported is not None:
        universe = intraday_universe(desk.settings, ("AAPL",))
        report_slot(slot, universe, "SMART", stores=desk.stores, dag_run_id="report")
        check_outcome(desk, slot, fault.reported)


async def attempt(desk: Desk, one: Try, steps: Steps, number: int) -> tuple[Any, Exception | None]:
    """Run one try as the task does, with what happens meanwhile; its outcome or its error."""
    if one.work == "open_interest":
        running: asyncio.Future[Any] = asyncio.ensure_future(desk.read_open_interest(desk.day))
    else:
        rebuilding = desk.rebuild(slot=slot_at(desk, one.slot), attempt=number, **one.options)
        running = asyncio.ensure_future(rebuilding)
    if one.during is not None:
        await until_arrived(desk, one.during, running.done)
        steps.perform(one.during.then)
    try:
        return await running, None
    except errors.OptDataError as error:
        return None, error


async def until_arrived(desk: Desk, during: During, is_over: Callable[[], bool]) -> None:
    """Wait until so many more requests of a kind have reached the gateway."""

    def arrived() -> int:
        return int(desk.gateway.control.stats()["requests"].get(during.request, 0))

    wanted = arrived() + during.count
    async with asyncio.timeout(60):
        while arrived() < wanted:
            assert not is_over(), f"over before {during.count} {during.request}"
            await asyncio.sleep(0.01)


async def kill(desk: Desk, one: Try) -> None:
    """Run one try in a process of its own, and end that without a word."""
    assert one.during is not None
    paths = desk.settings.paths
    environ = os.environ | {
        "OPT_DATA_CONFIG": "include/config/demo.toml",
        "OPT_DATA__PATHS__DATA_ROOT": str(paths.data_root),
        "OPT_DATA__PATHS__STATE_ROOT": str(paths.state_root),
        "PYTHONPATH": "plugins",
    }
    slot = slot_at(desk, one.slot).instant_utc.isoformat()
    worker = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("worker.py")), desk.gateway.host, str(desk.gateway.port), slot,
        env=environ,
    )  # fmt: skip
    try:
        await until_arrived(desk, one.during, lambda: worker.returncode is not None)
    finally:
        worker.kill()
        assert await worker.wait() == -signal.SIGKILL
    assert desk.rows(slot=slot_at(desk, one.slot).index) == []


def slot_at(desk: Desk, wall_time: str) -> Slot:
    return desk.slot(datetime.combine(desk.day, time.fromisoformat(wall_time), NEW_YORK))


def task_state(error: Exception | None) -> str:
    """What Airflow makes of it: the policy all tasks have, with tries left."""
    if error is None:
        return "success"
    decision = IB_RETRIES.evaluate(error, 1, 4)
    return {RetryAction.RETRY: "up for retry", RetryAction.FAIL: "failed"}[decision.action]


def expected_state(one: Try) -> str:
    """The same, from the family of the error that the catalogue names."""
    if not one.raises:
        return "success"
    return "up for retry" if issubclass(getattr(errors, one.raises), errors.TransientError) else "failed"


def check_outcome(desk: Desk, slot: Slot, expected: Outcome) -> None:
    (account,) = desk.stores.ledger.read(desk.day, slot.index).to_pylist()
    kept = account["on_time"] + account["late"] + account["rebuilt"]
    rest = account["expected"] - kept
    assert is_number(kept, expected.kept, {"all": account["expected"], "none": 0}), dict(account)
    assert account["missing"] + account["error"] == rest
    reasons = dict(account["reasons"])
    assert reasons.keys() == expected.reasons.keys()
    for reason, number in expected.reasons.items():
        assert is_number(reasons[reason], number, {"rest": rest}), reasons
    assert account["contract_set"] == expected.contract_set

    rows = desk.rows(slot=slot.index)
    assert {row["capture_mode"] for row in rows if not row["snapshot_error"]} <= set(expected.modes)
    flags = Counter(flag for row in rows for flag in row["data_quality_flag"])
    for flag, number in expected.flags.items():
        assert is_number(flags[flag], number, {"kept": kept, "rest": rest}), flags


def is_number(found: int, expected: str | int, words: Mapping[str, int]) -> bool:
    return found > 0 if expected == "some" else found == words.get(str(expected), expected)


def check_rows(desk: Desk, slot: Slot, check: RowCheck, steps: Steps) -> None:
    where = {name: steps.conid(value) if name == "conid" else value for name, value in check.where.items()}
    rows = [row for row in desk.rows(slot=slot.index) if all(row[name] == value for name, value in where.items())]
    assert rows
    assert check.count in (None, len(rows))
    for row in rows:
        assert {name: row[name] for name in check.are} == dict(check.are)
        assert {name: row[name] for name in check.null} == dict.fromkeys(check.null)
        assert all(row[name] is not None for name in check.filled)


def check_every_row(desk: Desk, slot: Slot, steps: Steps) -> None:
    """What holds whatever the fault: no contract twice, no sentinel, no value but what was sent for this slot."""
    rows = desk.rows(slot=slot.index)
    assert len({row["conid"] for row in rows}) == len(rows)
    for row in rows:
        numbers = [row[name] for name in PRICES if row[name] is not None]
        assert all(math.isfinite(one) and abs(one) < 1e9 and one not in (-1.0, -2.0) for one in numbers)
        if row["snapshot_error"] or row["capture_mode"] == "rebuilt":
            continue
        assert slot.instant_utc <= row["asof_ts"] < slot.ends_utc
        said = [
            told([tick for tick in request["ticks"] if not is_frozen(tick, request, steps)])
            for request in desk.gateway.control.sent(conid=row["conid"])
            if request["exchange"] == row["quote_exchange"]
        ]
        values = {name: row[name] for name in ("bid", "ask", "last")}
        assert values in [{name: one.get(name) for name in values} for one in said]


def is_frozen(tick: Mapping[str, Any], request: Mapping[str, Any], steps: Steps) -> bool:
    """Whether a tick may show an earlier moment: sent in an outage, or later on a request made before its end."""
    at, requested = datetime.fromisoformat(tick["at"]), datetime.fromisoformat(request["requested_at"])
    return any(at > began and (ended is None or requested < ended) for began, ended in steps.frozen)
