"""What a task run says about itself, in the words of the package below."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from opt_data.core.sessions import NEW_YORK
from opt_data.errors import NotASlot


def run_instant(context: Mapping[str, Any]) -> datetime:
    """The instant a run belongs to: the start of its data interval, aware UTC."""
    dag_run = context["dag_run"]
    instant = context.get("data_interval_start") or dag_run.data_interval_start or dag_run.logical_date
    if instant is None:
        raise NotASlot("this run has neither a data interval nor a logical date; trigger it with a logical date")
    return datetime.fromisoformat(instant.isoformat()).astimezone(UTC)


def run_trade_date(context: Mapping[str, Any]) -> date:
    """The trading day a run belongs to: the New York date of its instant."""
    return run_instant(context).astimezone(NEW_YORK).date()
