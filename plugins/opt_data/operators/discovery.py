"""The operator of ``opt_data_discovery``: freeze each symbol's contract set."""

from collections.abc import Sequence
from typing import Any

from airflow.sdk.bases.operator import BaseAsyncOperator

from opt_data.core.allowance import Priority
from opt_data.operators.gateway_session import first_client_id, task_gateway_log, task_share
from opt_data.operators.run_context import run_trade_date


class DiscoverContractsOperator(BaseAsyncOperator):
    """Freeze one symbol's contract set for the run's trading day.

    :param symbol: a symbol of the universe files (templated)
    :param ib_conn_id: connection that names the gateway; empty for the configured one (templated)
    """

    template_fields: Sequence[str] = ("symbol", "ib_conn_id")

    def __init__(self, *, symbol: str, ib_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symbol = symbol
        self.ib_conn_id = ib_conn_id

    async def aexecute(self, context: Any) -> dict[str, object]:
        """Discover, and return a summary.

        :raises ContractUnknown: IB does not know the symbol
        :raises ContractSetMissing: no option passes the filter, or the day is over and nothing is stored
        """
        from opt_data.bootstrap import gateway_limits, open_stores, whole_universe
        from opt_data.config.load import load_settings
        from opt_data.core.clock import SystemClock
        from opt_data.hooks.ib import IbHook
        from opt_data.pipelines.contract_sets import freeze_contract_set

        settings = load_settings()
        (underlying,) = whole_universe(settings, (self.symbol,))
        address = IbHook(self.ib_conn_id or settings.gateway.conn_id).get_conn()
        outcome = await freeze_contract_set(
            underlying,
            run_trade_date(context),
            address=address,
            limits=gateway_limits(settings),
            stores=open_stores(settings, SystemClock()),
            first_choice=first_client_id(context),
            share=task_share(settings, address, Priority.DISCOVERY),
            observer=task_gateway_log(settings, address, context),
        )
        self.log.info("%s", outcome.summary())
        return outcome.summary()
