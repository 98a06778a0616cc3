"""How tasks of all DAGs are tried again: our two error families decide, and each wait is twice the one before.

The waits are exact. Airflow's own exponential backoff stretches each by up to its double, by a hash; here the pace of
retries is a part of what IB is asked for.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from opt_data.core.backoff import backoff_s


class ErrorFamilies(ExceptionRetryPolicy):
    """``PermanentError`` fails at once; ``TransientError`` waits ``retry_delay``, doubled up to ``max_retry_delay``.

    Clearing a task starts the waits anew.
    """

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> Any:
        """Decide by the exception; the wait by the task's own settings.

        :param try_number: the try that failed, from 1 over all clears
        :param max_tries: the last try before this round's last, over all clears
        """
        decision = super().evaluate(exception, try_number, max_tries, context)
        if decision.action is not RetryAction.RETRY or context is None:
            return decision
        task = context["task"]
        failed = max(1, try_number - max(0, max_tries - task.retries))
        longest = task.max_retry_delay or timedelta(days=1)
        wait_s = backoff_s(failed, task.retry_delay.total_seconds(), longest.total_seconds())
        return replace(decision, retry_delay=timedelta(seconds=wait_s))


IB_RETRIES = ErrorFamilies(
    rules=[
        RetryRule("opt_data.errors.PermanentError", action=RetryAction.FAIL, reason="trying again changes nothing"),
        RetryRule("opt_data.errors.TransientError", action=RetryAction.RETRY, reason="trying again may help"),
    ]
)


class TriedAgain(Protocol):
    """A section of the settings that says how often its tasks are tried, and how long one try may take."""

    @property
    def retries(self) -> int: ...

    @property
    def retry_delay_s(self) -> float: ...

    @property
    def task_timeout_min(self) -> float: ...


def task_defaults(section: TriedAgain, **more: Any) -> dict[str, Any]:
    """The ``default_args`` of a DAG.

    :param section: the DAG's section of the settings
    :param more: further arguments, e.g. callbacks
    """
    return {
        "owner": "opt_data",
        "retries": section.retries,
        "retry_policy": IB_RETRIES,
        "retry_delay": timedelta(seconds=section.retry_delay_s),
        "retry_exponential_backoff": 2,
        "execution_timeout": timedelta(minutes=section.task_timeout_min),
        **more,
    }
