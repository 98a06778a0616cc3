"""Airflow executors: where tasks run."""
