"""Operators of ``opt_data_intraday``: plan a slot, capture it symbol by symbol, report it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import BaseAsyncOperator

from opt_data.core.allowance import Priority
from opt_data.core.slot_ref import slot_from_ref, slot_to_ref
from opt_data.operators.gateway_session import task_session
from opt_data.operators.run_context import run_instant, run_trade_date

RESERVE_S = 60.0
"""How much of a capture's timeout is kept for connecting and for storing what was sampled."""


class PlanSlotOperator(BaseOperator):
    """Name the symbols to capture at the run's slot, one mapped ``capture`` each.

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
        from opt_data.bootstrap import intraday_universe, session_calendar
        from opt_data.config.load import load_settings
        from opt_data.core.slots import slot_of_instant

        settings = load_settings()
        session = session_calendar(settings).session(run_trade_date(context))
        slot = slot_of_instant(session, run_instant(context))
        universe = intraday_universe(settings, tuple(self.symbols or ()))
        self.log.info("slot %s of %s: %d symbols", slot.label, session.day, len(universe))
        ref = slot_to_ref(slot)
        return [{"symbol": underlying.symbol, "slot": ref} for underlying in universe]


class CaptureSlotOperator(BaseAsyncOperator):
    """Capture one symbol at one slot into ``raw`` and ``clean``, and write its line of the slot ledger.

    A slot that is over is rebuilt from IB's 1-minute bars instead.

    :param symbol: a symbol of the intraday universe (templated)
    :param slot: the slot as ``plan`` describes it
    :param exchange: asked first, instead of the configured one (templated)
    :param strikes: only so many strikes on each side of the money (templated)
    :param generic_ticks: IB's generic tick list, instead of the configured one (templated)
    :param ready_timeout_s: seconds to wait for one contract, instead of the configured ones (templated)
    :param ib_conn_id: connection that names the gateway; empty for the configured one (templated)
    """

    template_fields: Sequence[str] = (
        "symbol", "exchange", "strikes", "generic_ticks", "ready_timeout_s", "ib_conn_id",
    )  # fmt: skip

    def __init__(
        self,
        *,
        symbol: str,
        slot: dict[str, str | bool],
        exchange: str | None = None,
        strikes: int | str | None = None,
        generic_ticks: str | None = None,
        ready_timeout_s: float | str | None = None,
        ib_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.symbol = symbol
        self.slot = slot
        self.exchange = exchange
        self.strikes = strikes
        self.generic_ticks = generic_ticks
        self.ready_timeout_s = ready_timeout_s
        self.ib_conn_id = ib_conn_id

    async def aexecute(self, context: Any) -> dict[str, object]:
        """Capture, or rebuild the slot if it is over, and return a summary.

        :raises SlotExpired: the slot is over, and not one quote could be rebuilt
        :raises NothingCaptured: the symbol has not one quote
        """
        from opt_data.bootstrap import history_rules, intraday_universe, open_stores
        from opt_data.config.load import load_settings
        from opt_data.hooks.ib import IbHook
        from opt_data.pipelines.capture_slot import wait_until_begun
        from opt_data.pipelines.contract_sets import contract_set_of_day
        from opt_data.pipelines.rebuild_slot import capture_or_rebuild

        settings = load_settings()
        (underlying,) = intraday_universe(settings, (self.symbol,))
        hook = IbHook(self.ib_conn_id or settings.gateway.conn_id)
        job = self._job(context, settings, underlying, hook.market_data_type())
        async with task_session(hook, settings, context, Priority.SLOT) as session:
            await wait_until_begun(job.slot, session)
            stores = open_stores(settings, session.clock)
            contract_set = await contract_set_of_day(underlying, job.slot.session.day, session=session, stores=stores)
            outcome = await capture_or_rebuild(
                job, contract_set, history_rules(settings), session=session, stores=stores
            )
        self.log.info("%s", outcome.sentence())
        self.log.info("%s", outcome.summary())
        return outcome.summary()

    def _job(self, context: Any, settings: Any, underlying: Any, market_data_type: int | None) -> Any:
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
            finish_within_s=time_to_capture_s(self.execution_timeout),
        )


def time_to_capture_s(execution_timeout: timedelta | None) -> float:
    """A capture task's timeout less the time it takes to connect and to store, seconds."""
    return float("inf") if execution_timeout is None else max(1.0, execution_timeout.total_seconds() - RESERVE_S)


class SlotReportOperator(BaseOperator):
    """Reconcile the slot over all its symbols; fails after writing if a symbol has nothing.

    :param symbols: only these symbols of the intraday universe; empty for all (templated)
    """

    template_fields: Sequence[str] = ("symbols",)

    def __init__(self, *, symbols: Sequence[str] | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symbols = symbols

    def execute(self, context: Any) -> dict[str, object]:
        """Write ledger and run log, and return the summary.

        :raises SlotIncomplete: a symbol has not one quote
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
        return report.summary()
