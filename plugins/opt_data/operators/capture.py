"""Operators of ``opt_data_intraday``: plan a slot, capture its groups of symbols, report it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import BaseAsyncOperator
from airflow.sdk.exceptions import AirflowRescheduleException

from opt_data.core.allowance import Priority
from opt_data.core.capture_groups import batch_wait_s, symbols_label
from opt_data.core.clock import SystemClock
from opt_data.core.slot_ref import slot_from_ref, slot_to_ref
from opt_data.core.slots import Slot
from opt_data.errors import OptDataError, SlotNotBegun, SymbolsUnfinished, TransientError
from opt_data.operators.gateway_session import task_session
from opt_data.operators.run_context import failed_instances, is_last_try, run_instant, run_trade_date

RESERVE_S = 60.0
"""How much of a capture's timeout is kept for connecting and for storing what was sampled."""
RESCHEDULE_MIN_S = 15.0
"""Airflow may need some seconds to notice that a task has ended; one wanted again before that is taken for killed."""


class PlanSlotOperator(BaseOperator):
    """Name the symbols to capture at the run's slot, one mapped ``capture`` for each group of them.

    :param symbols: only these symbols of the intraday universe; empty for all (templated)
    """

    template_fields: Sequence[str] = ("symbols",)

    def __init__(self, *, symbols: Sequence[str] | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symbols = symbols

    def execute(self, context: Any) -> list[dict[str, object]]:
        """Return the arguments of each ``capture``.

        :raises NotASession: the run's date is no trading day
        :raises NotASlot: the run's instant is not a slot of the session
        :raises ConfigInvalid: a symbol is not in the universe
        """
        from opt_data.bootstrap import capture_groups, session_calendar
        from opt_data.config.load import load_settings
        from opt_data.core.slots import slot_of_instant

        settings = load_settings()
        session = session_calendar(settings).session(run_trade_date(context))
        slot = slot_of_instant(session, run_instant(context))
        groups = capture_groups(settings, tuple(self.symbols or ()))
        count = sum(len(group.symbols) for group in groups)
        self.log.info("slot %s of %s: %d symbols in %d tasks", slot.label, session.day, count, len(groups))
        ref = slot_to_ref(slot)
        return [{"symbols": list(group.symbols), "slot": ref, "offset_min": group.offset_min} for group in groups]


class CaptureSlotOperator(BaseAsyncOperator):
    """Capture symbols at one slot into ``raw`` and ``clean``, and write the line of each of the slot ledger.

    A slot that is over is rebuilt from IB's 1-minute bars instead. A symbol that fails does not keep the others from
    being captured; the task then fails and names it. A batch whose turn is yet to come is *up for reschedule*: it holds
    neither a process nor a place in the pool.

    :param symbols: symbols of the intraday universe, captured over one connection (templated)
    :param slot: the slot as ``plan`` describes it
    :param offset_min: minutes after the slot at which the symbols' turn comes
    :param exchange: asked first, instead of the configured one (templated)
    :param strikes: only so many strikes on each side of the money (templated)
    :param generic_ticks: IB's generic tick list, instead of the configured one (templated)
    :param ready_timeout_s: seconds to wait for one contract, instead of the configured ones (templated)
    :param ib_conn_id: connection that names the gateway; empty for the configured one (templated)
    """

    template_fields: Sequence[str] = (
        "symbols", "exchange", "strikes", "generic_ticks", "ready_timeout_s", "ib_conn_id",
    )  # fmt: skip

    def __init__(
        self,
        *,
        symbols: Sequence[str],
        slot: dict[str, str | bool],
        offset_min: int = 0,
        exchange: str | None = None,
        strikes: int | str | None = None,
        generic_ticks: str | None = None,
        ready_timeout_s: float | str | None = None,
        ib_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.symbols = symbols
        self.slot = slot
        self.offset_min = offset_min
        self.exchange = exchange
        self.strikes = strikes
        self.generic_ticks = generic_ticks
        self.ready_timeout_s = ready_timeout_s
        self.ib_conn_id = ib_conn_id

    @property
    def symbols_label(self) -> str:
        """The instance's name in the grid."""
        return symbols_label(self.symbols)

    async def aexecute(self, context: Any) -> dict[str, object]:
        """Capture, or rebuild the slot if it is over, and return a summary.

        When the last try fails, what has no quote is flagged ``slot_retry_exceeded``.

        :raises AirflowRescheduleException: the turn of the symbols' batch is yet to come
        :raises SlotExpired: the slot is over, and not one quote could be rebuilt
        :raises NothingCaptured: the symbol has not one quote
        :raises SymbolsUnfinished: the same of one of several symbols, or anything else that may help to try again
        :raises SymbolsFailed: the same, but nothing will help
        """
        try:
            return await self._capture(context)
        except TransientError as error:
            if is_last_try(context) and not isinstance(error, SlotNotBegun):
                self._give_up(context, error)
            raise

    def _give_up(self, context: Any, error: TransientError) -> None:
        """Flag what the failed symbols lack; the error itself matters more than trouble on the way."""
        from opt_data.bootstrap import intraday_universe, open_stores
        from opt_data.config.load import load_settings
        from opt_data.pipelines.give_up_slot import give_up_slot

        settings, slot = load_settings(), slot_from_ref(self.slot)
        symbols = error.symbols if isinstance(error, SymbolsUnfinished) else tuple(self.symbols)
        stores = open_stores(settings, SystemClock())
        for underlying in intraday_universe(settings, symbols):
            contract_set = stores.cache.load(underlying.symbol, slot.session.day).contract_set
            if contract_set is None:
                self.log.warning("%s: given up without a contract set of the day", underlying.symbol)
                continue
            job = self._job(context, settings, underlying, None, 0.0)
            try:
                self.log.warning("given up: %s", give_up_slot(job, contract_set, error, stores).sentence())
            except OptDataError:
                self.log.exception("%s: its contracts could not be flagged as given up", underlying.symbol)

    async def _capture(self, context: Any) -> dict[str, object]:
        from opt_data.bootstrap import (
            history_rules,
            intraday_universe,
            nearest_first_pass,
            open_stores,
            symbols_at_once,
            symbols_at_once_first,
        )
        from opt_data.config.load import load_settings
        from opt_data.hooks.ib import IbHook
        from opt_data.pipelines.capture_group import FirstPass, capture_group
        from opt_data.pipelines.capture_slot import CaptureOutcome, wait_until_begun
        from opt_data.pipelines.contract_sets import contract_set_of_day
        from opt_data.pipelines.rebuild_slot import capture_or_rebuild

        settings = load_settings()
        universe = {underlying.symbol: underlying for underlying in intraday_universe(settings, self.symbols)}
        hook = IbHook(self.ib_conn_id or settings.gateway.conn_id)
        market_data_type = hook.market_data_type()
        slot, clock = slot_from_ref(self.slot), SystemClock()
        if settings.clock.source == "system":
            self._step_aside(slot, clock.now())
        ends = clock.monotonic() + time_to_capture_s(self.execution_timeout)
        async with task_session(hook, settings, context, Priority.SLOT) as session:
            await wait_until_begun(slot, session)
            self._step_aside(slot, session.clock.now())
            stores, rules = open_stores(settings, session.clock), history_rules(settings)

            async def capture(
                symbol: str, first: CaptureOutcome | None = None, *, nearest: int | None = None
            ) -> CaptureOutcome:
                left_s = max(1.0, ends - clock.monotonic())
                job = replace(
                    self._job(context, settings, universe[symbol], market_data_type, left_s),
                    nearest=nearest,
                    answered_before=first.answered_conids if first else frozenset(),
                )
                contract_set = await contract_set_of_day(
                    universe[symbol], slot.session.day, session=session, stores=stores
                )
                outcome = await capture_or_rebuild(job, contract_set, rules, session=session, stores=stores)
                self.log.info("%s", outcome.sentence())
                self.log.info("%s", outcome.summary())
                return outcome

            on_time_left_s = settings.capture.slot_grace_s - (session.clock.now() - slot.instant_utc).total_seconds()
            first_pass = None
            if (nearest := nearest_first_pass(settings, len(universe), on_time_left_s)) is not None:
                self.log.info("while on time: %d contracts of each symbol before the rest of any", nearest)
                first_pass = FirstPass(partial(capture, nearest=nearest), symbols_at_once_first(settings, nearest))
            group = await capture_group(list(universe), capture, at_once=symbols_at_once(settings), first=first_pass)
        if (failure := group.failure()) is not None:
            for symbol, error in group.failures.items():
                self.log.error("%s: %s", symbol, error)
            raise failure
        return group.summary()

    def _step_aside(self, slot: Slot, now: datetime) -> None:
        """Give way to others from the slot's beginning until the batch's turn has come."""
        wait_s = batch_wait_s(slot, self.offset_min, now)
        if wait_s > 0:
            self.log.info("the turn of %s comes %d min after the slot", self.symbols_label, self.offset_min)
            turn = SystemClock().now() + timedelta(seconds=max(wait_s, RESCHEDULE_MIN_S))
            raise AirflowRescheduleException(turn)  # type: ignore[no-untyped-call]

    def _job(
        self, context: Any, settings: Any, underlying: Any, market_data_type: int | None, finish_within_s: float
    ) -> Any:
        from opt_data.bootstrap import sampling_rules
        from opt_data.core.capture_plan import requested_market_data_type
        from opt_data.pipelines.capture_slot import CaptureJob
        from opt_data.storage.chain_rows import IngestRun

        slot = slot_from_ref(self.slot)
        capture = settings.capture
        return CaptureJob(
            slot=slot,
            underlying=underlying,
            exchange=capture.exchange,
            ask_first=self.exchange or capture.exchange,
            fallback_exchanges=capture.fallback_exchanges,
            rules=sampling_rules(
                settings,
                generic_ticks=None if self.generic_ticks is None else str(self.generic_ticks),
                ready_timeout_s=float(self.ready_timeout_s) if self.ready_timeout_s else None,
            ),
            requested_type=requested_market_data_type(
                market_data_type or settings.gateway.market_data_type,
                allow_delayed=settings.gateway.allow_delayed,
                is_close=slot.is_last,
            ),
            run=IngestRun(uuid4().hex, context["ti"].try_number, dag_run_id=context["run_id"]),
            strikes=int(self.strikes) if self.strikes else None,
            finish_within_s=finish_within_s,
        )


def time_to_capture_s(execution_timeout: timedelta | None) -> float:
    """A capture task's timeout less the time it takes to connect and to store, seconds."""
    return float("inf") if execution_timeout is None else max(1.0, execution_timeout.total_seconds() - RESERVE_S)


class SlotReportOperator(BaseOperator):
    """Reconcile the slot over all its symbols; fails after writing if a symbol has nothing or a capture failed.

    :param watched: tasks of the run whose failures must not go under, because the report runs whatever happened
    :param symbols: only these symbols of the intraday universe; empty for all (templated)
    """

    template_fields: Sequence[str] = ("symbols",)

    def __init__(
        self, *, watched: Sequence[str] = (), symbols: Sequence[str] | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.watched = tuple(watched)
        self.symbols = symbols

    def execute(self, context: Any) -> dict[str, object]:
        """Write ledger and run log, and return the summary.

        :raises SlotIncomplete: a symbol has not one quote, or a watched task failed
        """
        from opt_data.bootstrap import intraday_universe, open_stores, session_calendar
        from opt_data.config.load import load_settings
        from opt_data.core.clock import SystemClock
        from opt_data.core.slots import slot_of_instant
        from opt_data.errors import SlotIncomplete
        from opt_data.pipelines.report_slot import report_slot

        settings = load_settings()
        session = session_calendar(settings).session(run_trade_date(context))
        slot = slot_of_instant(session, run_instant(context))
        universe = intraday_universe(settings, tuple(self.symbols or ()))
        report = report_slot(
            slot, universe, settings.capture.exchange,
            stores=open_stores(settings, SystemClock()), dag_run_id=context["run_id"],
        )  # fmt: skip
        for account in report.accounts:
            self.log.info("%s", account)
        self.log.info("quotes more than at the slot's last report: %s", dict(report.gained) or "none")
        if report.without_quotes:
            raise SlotIncomplete(
                f"slot {slot.label} of {session.day}: no quote of {', '.join(report.without_quotes)}. "
                "The ledger counts their contracts. Clear their capture instances with downstream: what is missing is "
                "captured while the slot lasts, and rebuilt from bars once it is over"
            )
        if failed := failed_instances(context, self.dag_id, self.watched):
            raise SlotIncomplete(
                f"slot {slot.label} of {session.day}: every symbol has quotes, but failed instances are left: "
                + ", ".join(f"{count} of {task_id}" for task_id, count in failed.items())
                + ". Clear them with downstream, or all such runs at once: make backfill with REPROCESS=failed"
            )
        return report.summary()
