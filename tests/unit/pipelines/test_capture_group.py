"""A task with several symbols: all are tried, few at a time, and the failures end in one error that names them."""

import asyncio
from dataclasses import replace

import pytest

from opt_data.core.slot_account import ContractSetStatus, Expectation, SlotAccount, account_slot
from opt_data.errors import GatewayUnavailable, NothingCaptured, SlotExpired, SymbolsFailed, SymbolsUnfinished
from opt_data.pipelines.capture_group import FirstPass, GroupOutcome, capture_group
from opt_data.pipelines.capture_slot import CaptureOutcome


def account(symbol: str) -> SlotAccount:
    return account_slot(Expectation(symbol, "SMART", frozenset({1, 2, 3}), ContractSetStatus.OK), {})


def outcome(symbol: str, asked: int = 3) -> CaptureOutcome:
    return CaptureOutcome(symbol, asked, account(symbol), stale=False)


class Desk:
    """Captures by saying so; keeps count of how many are under way."""

    def __init__(self, failures: dict[str, Exception] | None = None) -> None:
        self.failures = failures or {}
        self.begun: list[str] = []
        self.under_way = self.most = 0

    async def capture(self, symbol: str, _: CaptureOutcome | None = None) -> CaptureOutcome:
        self.begun.append(symbol)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if symbol in self.failures:
            raise self.failures[symbol]
        return outcome(symbol)

    async def group(self, symbols: str, at_once: int = 2) -> GroupOutcome:
        return await capture_group(list(symbols), self.capture, at_once=at_once)


async def test_every_symbol_is_tried_in_order_and_never_more_at_once_than_wanted() -> None:
    desk = Desk({"B": NothingCaptured("B has not one quote"), "D": ValueError("a bug")})

    group = await desk.group("ABCDE")

    assert desk.begun == list("ABCDE")
    assert desk.most == 2
    assert list(group.outcomes) == ["A", "C", "E"]
    assert list(group.failures) == ["B", "D"]


async def test_the_error_names_the_failed_symbols_and_says_the_same_reason_once() -> None:
    lost = GatewayUnavailable("127.0.0.1:4002: the gateway closed the connection")

    failure = (await Desk(dict.fromkeys("BD", lost)).group("ABCDE")).failure()

    assert isinstance(failure, SymbolsUnfinished)
    assert failure.symbols == ("B", "D")
    assert str(failure).startswith("2 of 5 symbols failed")
    assert str(failure).endswith("B, D: GatewayUnavailable: 127.0.0.1:4002: the gateway closed the connection")


@pytest.mark.parametrize(
    ("failures", "kind"),
    [
        ([SlotExpired("over"), SlotExpired("over")], SymbolsFailed),
        ([SlotExpired("over"), NothingCaptured("nothing")], SymbolsUnfinished),
        ([SlotExpired("over"), ValueError("a bug")], SymbolsUnfinished),
    ],
)
async def test_one_failure_that_may_pass_is_enough_for_a_retry(failures: list[Exception], kind: type) -> None:
    group = await Desk(dict(zip("BD", failures, strict=True))).group("ABCDE")

    assert type(group.failure()) is kind


async def test_a_single_symbol_fails_with_its_own_error_and_answers_with_its_own_summary() -> None:
    expired = SlotExpired("over")

    assert (await Desk({"A": expired}).group("A")).failure() is expired
    assert (await Desk().group("A")).summary() == outcome("A").summary()


async def test_the_summary_of_several_symbols_has_the_sums_and_each_symbols_own() -> None:
    group = await Desk().group("ABC")

    assert group.failure() is None
    summary = group.summary()
    assert (summary["asked"], summary["expected"], summary["missing"], summary["kept"]) == (9, 9, 9, 0)
    assert summary["captures"] == [outcome(symbol).summary() for symbol in "ABC"]


async def test_a_first_pass_goes_over_all_symbols_before_the_rest_of_any() -> None:
    desk = Desk()

    async def nearest(symbol: str) -> CaptureOutcome:
        await desk.capture(symbol.lower())
        if symbol == "D":
            raise NothingCaptured("D was asked for as a whole and has not one quote")
        put_off = 0 if symbol == "B" else 2
        return replace(outcome(symbol, 3 - put_off), put_off=put_off, answered_conids=frozenset({1}), flags={"wide": 1})

    async def rest(symbol: str, first: CaptureOutcome | None) -> CaptureOutcome:
        assert first is not None
        assert first.answered_conids == {1}
        await desk.capture(symbol)
        if symbol == "C":
            raise GatewayUnavailable("the gateway closed the connection")
        return replace(outcome(symbol, 2), answered_conids=frozenset({2, 3}))

    group = await capture_group(list("ABCDE"), rest, at_once=2, first=FirstPass(nearest, 3))

    # B was small enough to be asked for as a whole, D failed for good
    assert desk.begun == [*"abcde", *"ACE"]
    assert desk.most == 3
    assert list(group.outcomes) == ["A", "B", "E"]
    assert list(group.failures) == ["C", "D"]
    whole = group.outcomes["A"]
    assert (whole.asked, whole.answered_conids, whole.flags, whole.put_off) == (3, {1, 2, 3}, {"wide": 1}, 0)


async def test_what_ends_the_task_ends_all_that_is_under_way() -> None:
    class TimeIsUp(BaseException):
        """As Airflow's timeout: no ordinary exception."""

    ended = []

    async def capture(symbol: str, _: CaptureOutcome | None) -> CaptureOutcome:
        if symbol == "A":
            await asyncio.sleep(0)
            raise TimeIsUp
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(symbol)
        return outcome(symbol)

    with pytest.raises(TimeIsUp):
        await capture_group(["A", "B", "C"], capture, at_once=2)
    assert ended == ["B"]
