"""The first task of a session's DAG: which symbols the mapped tasks behind it are for."""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator

from opt_data.operators.run_context import run_trade_date


class PlanSymbolsOperator(BaseOperator):
    """Name the symbols of both universe files, one mapped instance each.

    :param symbols: only these symbols; empty for all (templated)
    """

    template_fields: Sequence[str] = ("symbols",)

    def __init__(self, *, symbols: Sequence[str] | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symbols = symbols

    def execute(self, context: Any) -> list[str]:
        """Return the symbols.

        :raises NotASession: the run's date is no trading day
        :raises ConfigInvalid: a symbol is not in the universe
        """
        from opt_data.bootstrap import session_calendar, whole_universe
        from opt_data.config.load import load_settings

        settings = load_settings()
        session_calendar(settings).session(run_trade_date(context))
        return [underlying.symbol for underlying in whole_universe(settings, tuple(self.symbols or ()))]
