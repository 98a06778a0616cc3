"""The one retry policy of all DAGs: our two error families decide, the task's own backoff sets the pace."""

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

IB_RETRIES = ExceptionRetryPolicy(
    rules=[
        RetryRule("opt_data.errors.PermanentError", action=RetryAction.FAIL, reason="trying again changes nothing"),
        RetryRule("opt_data.errors.TransientError", action=RetryAction.RETRY, reason="trying again may help"),
    ]
)
