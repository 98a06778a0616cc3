"""Operators of ``opt_data_eod``: take the closing snapshot, roll up, report."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import BaseAsyncOperator
from airflow.sdk.exceptions import AirflowSkipException

from opt_data.core.allowance import Priority
from opt_data.operators.capture import time_to_capture_s
from opt_data.operators.gateway_session import task_session
from opt_data.operators.run_context import failed_instances, run_trade_date

if TYPE_CHECKING:
    from opt_data.pipelines.capture_slot import CaptureJob


class CloseSnapshotOperator(BaseAsyncOperator):
    """Take the closing snapshot of one symbol into ``view=close``.

    Skipped, with the reason in the log, where there is nothing to be taken: the symbol is not in the universe of the
    closing snapshot, or IB does not serve the session's closing values any more.

    :param symbol: a symbol of the universe files (templated)
    :param ib_conn_id: connection that names the gateway; empty for the configured one (templated)
    """

    template_fields: Sequence[str] = ("symbol", "ib_conn_id")

    def __init__(self, *, symbol: str, ib_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symbol = symbol
        self.ib_conn_id = ib_conn_id

    async def aexecute(self, context: Any) -> dict[str, object]:
        """Capture, and return a summary.

        :raises NothingCaptured: the symbol has not one closing quote
        :raises SlotNotBegun: the session has not closed yet
        """
        from opt_data.bootstrap import close_universe, open_stores, session_calendar
        from opt_data.config.load import load_settings
        from opt_data.core.clock import SystemClock
        from opt_data.core.slots import close_slot
        from opt_data.errors import CloseExpired
        from opt_data.hooks.ib import IbHook
        from opt_data.pipelines.capture_close import capture_close, check_close_is_served, wait_for_close
        from opt_data.pipelines.contract_sets import contract_set_of_day

        settings = load_settings()
        underlyings = {one.symbol: one for one in close_universe(settings)}
        if self.symbol not in underlyings:
            raise AirflowSkipException(f"{self.symbol} is not in {settings.universe.close_file}: it has slots only")
        underlying = underlyings[self.symbol]
        calendar = session_calendar(settings)
        day = run_trade_date(context)
        close = close_slot(calendar.session(day), calendar.next_session(day))
        hook = IbHook(self.ib_conn_id or settings.gateway.conn_id)
        job = self._job(context, settings, underlying, close, hook.market_data_type())
        try:
            if settings.clock.source == "system":
                check_close_is_served(close, SystemClock().now())
            async with task_session(hook, settings, context, Priority.SLOT) as session:
                await wait_for_close(close, session)
                stores = open_stores(settings, session.clock)
                contract_set = await contract_set_of_day(underlying, day, session=session, stores=stores)
                outcome = await capture_close(job, contract_set, session=session, stores=stores)
        except CloseExpired as reason:
            raise AirflowSkipException(str(reason)) from reason
        self.log.info("%s", outcome.sentence())
        self.log.info("%s", outcome.summary())
        return outcome.summary()

    def _job(
        self, context: Any, settings: Any, underlying: Any, close: Any, market_data_type: int | None
    ) -> "CaptureJob":
        from opt_data.bootstrap import sampling_rules
        from opt_data.core.capture_plan import requested_market_data_type
        from opt_data.pipelines.capture_slot import CaptureJob
        from opt_data.storage.chain_rows import IngestRun
        from opt_data.storage.layout import ChainView

        capture = settings.capture
        return CaptureJob(
            slot=close,
            underlying=underlying,
            exchange=capture.exchange,
            ask_first=capture.exchange,
            fallback_exchanges=capture.fallback_exchanges,
            rules=sampling_rules(settings),
            requested_type=requested_market_data_type(
                market_data_type or settings.gateway.market_data_type,
                allow_delayed=settings.gateway.allow_delayed,
                is_close=True,
            ),
            run=IngestRun(uuid4().hex, context["ti"].try_number, "close", dag_run_id=context["run_id"]),
            finish_within_s=time_to_capture_s(self.execution_timeout),
            view=ChainView.CLOSE,
        )


class RollUpOperator(BaseOperator):
    """Derive one symbol's day from its closing snapshot and its slots into ``view=daily_clean``.

    :param symbol: a symbol of the universe files (templated)
    """

    template_fields: Sequence[str] = ("symbol",)

    def __init__(self, *, symbol: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symbol = symbol

    def execute(self, context: Any) -> dict[str, object]:
        """Roll up, and return a summary.

        :raises CloseMissing: no closing quote, and slots may not stand in
        :raises NothingToRollUp: the symbol has not one good quote on that day
        :raises SlotNotBegun: the session has not closed yet
        """
        from opt_data.bootstrap import intraday_universe, open_stores, whole_universe
        from opt_data.config.load import load_settings
        from opt_data.core.clock import SystemClock
        from opt_data.pipelines.roll_up_session import roll_up_session

        settings = load_settings()
        (underlying,) = whole_universe(settings, (self.symbol,))
        stores = open_stores(settings, SystemClock())
        outcome = roll_up_session(
            stores.calendar.session(run_trade_date(context)),
            underlying,
            settings.capture.exchange,
            is_intraday=any(one.symbol == self.symbol for one in intraday_universe(settings)),
            stores=stores,
        )
        self.log.info("%s", outcome.summary())
        return outcome.summary()


class EodReportOperator(BaseOperator):
    """Look over the session's days; fails after writing if a symbol has none or a task before it failed.

    :param watched: tasks of the run whose failures must not go under, because the report runs whatever happened
    :param symbols: only these symbols of both universe files; empty for all (templated)
    """

    template_fields: Sequence[str] = ("symbols",)

    def __init__(self, *, watched: Sequence[str], symbols: Sequence[str] | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symbols = symbols
        self.watched = tuple(watched)

    def execute(self, context: Any) -> dict[str, object]:
        """Write the run log, and return the summary.

        :raises DayIncomplete: a symbol has no day, or a watched task failed
        """
        from opt_data.bootstrap import open_stores, whole_universe
        from opt_data.config.load import load_settings
        from opt_data.core.clock import SystemClock
        from opt_data.errors import DayIncomplete
        from opt_data.pipelines.report_session import report_session

        settings = load_settings()
        day = run_trade_date(context)
        universe = whole_universe(settings, tuple(self.symbols or ()))
        report = report_session(day, universe, stores=open_stores(settings, SystemClock()))
        for symbol, strategies in report.strategies.items():
            self.log.info("%s: %s", symbol, strategies)
        if report.without_day:
            raise DayIncomplete(
                f"{day}: no quote of the day of {', '.join(report.without_day)}. Clear their close_snapshot and rollup "
                "with downstream; the log of each rollup says what else helps"
            )
        if failed := failed_instances(context, self.dag_id, self.watched):
            raise DayIncomplete(
                f"{day}: every symbol has its day, but failed instances are left: "
                + ", ".join(f"{count} of {task_id}" for task_id, count in failed.items())
                + ". Clear them with downstream. A close can be taken until 30 minutes before the next open; "
                "after that it is skipped and slots stand in"
            )
        return report.summary()
