"""The operator of ``opt_data_maintenance``: compact finished weeks, retire old ones."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from airflow.sdk import BaseOperator

from opt_data.core.sessions import NEW_YORK


class MaintainOperator(BaseOperator):
    """Bring the store into order as of the run's date, and return what was done.

    :param is_dry_run: only log and return the plan (templated)
    """

    template_fields: Sequence[str] = ("is_dry_run",)

    def __init__(self, *, is_dry_run: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.is_dry_run = is_dry_run

    def execute(self, context: Any) -> dict[str, object]:
        """Plan, carry out, and return a summary.

        :raises AlreadyRunning: another upkeep of this store runs
        :raises RetentionRefused: nothing intraday would be left
        """
        from opt_data.bootstrap import open_stores
        from opt_data.config.load import load_settings
        from opt_data.core.clock import SystemClock
        from opt_data.pipelines.maintain import maintain, plan_maintenance

        clock = SystemClock()
        stores = open_stores(load_settings(), clock)
        day = _upkeep_day(context, clock.now())
        is_dry_run = self.is_dry_run is True or str(self.is_dry_run).lower() == "true"
        upkeep = plan_maintenance(day, stores=stores) if is_dry_run else maintain(day, stores=stores)
        for line in upkeep.lines():
            self.log.info("%s%s: %s", day, " (dry run)" if is_dry_run else "", line)
        return upkeep.summary()


def _upkeep_day(context: Any, now: datetime) -> date:
    """The New York date by which ages are counted: the run's logical date, never later than today."""
    logical = context["dag_run"].logical_date
    instant = now if logical is None else min(now, datetime.fromisoformat(logical.isoformat()).astimezone(UTC))
    return instant.astimezone(NEW_YORK).date()
