"""Operator of ``opt_data_eod`` that brings the rolled-up days to today's terms."""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator

from opt_data.operators.run_context import run_trade_date


class AdjustSessionOperator(BaseOperator):
    """Derive ``view=daily_adjusted`` of every symbol rolled up on the run's session, and of earlier days that a
    corporate action changed since.

    :param symbols: only these symbols of both universe files; empty for all (templated)
    """

    template_fields: Sequence[str] = ("symbols",)

    def __init__(self, *, symbols: Sequence[str] | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symbols = symbols

    def execute(self, context: Any) -> dict[str, object]:
        """Adjust, and return a summary.

        :raises ConfigInvalid: the corporate-action table is wrong, or a symbol is not in the universe
        :raises AdjustmentIncomplete: a symbol could not be adjusted, or has no day; the others are adjusted
        """
        from opt_data.bootstrap import open_stores, whole_universe
        from opt_data.config.load import load_settings
        from opt_data.core.clock import SystemClock
        from opt_data.errors import AdjustmentIncomplete
        from opt_data.pipelines.adjust_session import adjust_session

        settings = load_settings()
        universe = whole_universe(settings, tuple(self.symbols or ()))
        day = run_trade_date(context)
        done = adjust_session(
            day,
            [underlying.symbol for underlying in universe],
            stores=open_stores(settings, SystemClock()),
            dag_run_id=context["run_id"],
        )
        self.log.info("%s", done.summary())
        failed = done.failed | dict.fromkeys(done.not_rolled_up, "it has no day, clear its rollup with downstream")
        if failed:
            reasons = "; ".join(f"{symbol}: {reason}" for symbol, reason in failed.items())
            raise AdjustmentIncomplete(f"not adjusted on {day}: {reasons}")
        return done.summary()
