"""Operators of ``opt_data_open_interest``: read each symbol's open interest, report."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import BaseAsyncOperator
from airflow.sdk.exceptions import AirflowRescheduleException

from opt_data.core.allowance import Priority
from opt_data.operators.gateway_session import task_session
from opt_data.operators.run_context import run_trade_date


class ReadOpenInterestOperator(BaseAsyncOperator):
    """Read one symbol's open interest of the run's session once, and come again until it is settled.

    Between two reads the task is *up for reschedule*: it holds neither a process nor a place in the pool.

    :param symbol: a symbol of the universe files (templated)
    :param ib_conn_id: connection that names the gateway; empty for the configured one (templated)
    """

    template_fields: Sequence[str] = ("symbol", "ib_conn_id")

    def __init__(self, *, symbol: str, ib_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symbol = symbol
        self.ib_conn_id = ib_conn_id

    async def aexecute(self, context: Any) -> dict[str, object]:
        """Read, and return a summary.

        :raises AirflowRescheduleException: another read is needed, later
        :raises OpenInterestGone: a newer session's open interest is out
        :raises OpenInterestMissing: the time for reading again is over and too much is missing
        """
        from opt_data.bootstrap import open_interest_rules, open_stores, whole_universe
        from opt_data.config.load import load_settings
        from opt_data.core.clock import SystemClock
        from opt_data.hooks.ib import IbHook
        from opt_data.pipelines.contract_sets import contract_set_of_day
        from opt_data.pipelines.enrich_open_interest import OpenInterestJob, enrich_open_interest
        from opt_data.storage.chain_rows import IngestRun

        settings = load_settings()
        (underlying,) = whole_universe(settings, (self.symbol,))
        trade_date = run_trade_date(context)
        hook = IbHook(self.ib_conn_id or settings.gateway.conn_id)
        async with task_session(hook, settings, context, Priority.OPEN_INTEREST) as session:
            stores = open_stores(settings, session.clock)
            job = OpenInterestJob(
                session=stores.calendar.session(trade_date),
                underlying=underlying,
                exchange=settings.capture.exchange,
                rules=open_interest_rules(settings),
                run=IngestRun(uuid4().hex, context["ti"].try_number, "enrichment", context["run_id"]),
            )
            contract_set = await contract_set_of_day(underlying, trade_date, session=session, stores=stores)
            outcome = await enrich_open_interest(job, contract_set, session=session, stores=stores)
        self.log.info("%s", outcome.summary())
        if outcome.wait_s is not None:
            raise AirflowRescheduleException(SystemClock().now() + timedelta(seconds=outcome.wait_s))  # type: ignore[no-untyped-call]
        return outcome.summary()


class OpenInterestReportOperator(BaseOperator):
    """Count the session's open interest over all symbols; fails after writing if a symbol lacks too much.

    :param symbols: only these symbols; empty for all (templated)
    """

    template_fields: Sequence[str] = ("symbols",)

    def __init__(self, *, symbols: Sequence[str] | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symbols = symbols

    def execute(self, context: Any) -> dict[str, object]:
        """Write the run log and bring ``daily_clean`` up to date; return the summary.

        :raises OpenInterestMissing: a symbol has too little of it
        """
        from opt_data.bootstrap import open_stores, session_calendar, whole_universe
        from opt_data.config.load import load_settings
        from opt_data.core.clock import SystemClock
        from opt_data.errors import OpenInterestMissing
        from opt_data.pipelines.report_open_interest import report_open_interest

        settings = load_settings()
        session = session_calendar(settings).session(run_trade_date(context))
        report = report_open_interest(
            session,
            whole_universe(settings, tuple(self.symbols or ())),
            settings.capture.exchange,
            stores=open_stores(settings, SystemClock()),
            dag_run_id=context["run_id"],
        )
        for one in report.symbols:
            self.log.info("%s", one)
        if report.incomplete:
            message = f"too little open interest of {session.day}: {', '.join(report.incomplete)}. "
            if report.failed_for_days:
                message += f"None for three sessions in a row, flag oi_enrichment_failed: {report.failed_for_days}. "
            raise OpenInterestMissing(
                f"{message}The rows are flagged missing_oi. As long as no newer session's is out, clear the red "
                "instances of `read` with downstream",
                symbols=report.incomplete,
            )
        return report.summary()
