"""The demo's own errors."""


class DemoFailed(Exception):
    """The demo cannot go on. The message says what happened and what to do, and is all that a person sees."""


class RunFailed(DemoFailed):
    """A DAG run did not succeed. Airflow is up, so that a person can look at it."""
