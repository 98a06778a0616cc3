"""When DAGs run: Airflow timetables over XNYS sessions. Nothing heavy is imported before the first question."""
