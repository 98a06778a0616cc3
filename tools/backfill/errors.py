"""Why a backfill is not made, or did not work; the message is what the person on call reads."""


class BackfillRefused(Exception):
    """Nothing was asked of Airflow: the range, the DAG or the installation is not fit for it."""


class BackfillFailed(Exception):
    """Airflow was asked, and did not do it."""
