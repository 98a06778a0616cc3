"""Which Airflow a backfill is for, and what time its market has."""

import asyncio
import os
import shlex
from datetime import datetime
from pathlib import Path

from opt_data.config.models import Settings
from opt_data.core.clock import SystemClock
from opt_data.errors import OptDataError
from tools.backfill.errors import BackfillRefused

CHECKOUT = Path(__file__).resolve().parents[2]


def choose(environment: Path = CHECKOUT / ".run" / "env.sh") -> str:
    """Make this process part of the Airflow that ``AIRFLOW_HOME`` names, or else of the demo; its home.

    Raises
    ------
    BackfillRefused
        Neither is there.
    """
    home = os.environ.get("AIRFLOW_HOME")
    if home:
        return home
    if not environment.exists():
        raise BackfillRefused(
            "AIRFLOW_HOME is not set and no demo was started here: export AIRFLOW_HOME=… of the Airflow to backfill, "
            "or `make run` in another terminal"
        )
    for line in environment.read_text().splitlines():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            if name != "PYTHONPATH":
                os.environ[name] = "".join(shlex.split(value))
    return os.environ["AIRFLOW_HOME"]


def market_now(settings: Settings) -> datetime:
    """What time it is for the captures: the machine's, or the gateway's where ``[clock] source`` says so.

    Raises
    ------
    BackfillRefused
        The gateway is to be asked, and does not answer.
    """
    if settings.clock.source == "system":
        return SystemClock().now()
    from opt_data.bootstrap import gateway_limits
    from opt_data.gateway.session import open_session
    from opt_data.hooks.ib import gateway_address
    from tools.backfill.airflow_runs import gateway_connection

    async def ask() -> datetime:
        address = gateway_address(gateway_connection(settings.gateway.conn_id))
        async with open_session(address, gateway_limits(settings), clock_source="gateway") as session:
            return session.clock.now()

    try:
        return asyncio.run(ask())
    except OptDataError as reason:
        raise BackfillRefused(f"the gateway does not say what time its market has: {reason}") from reason
