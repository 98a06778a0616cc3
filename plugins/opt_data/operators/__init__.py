"""Airflow operators: each reads its context, calls one pipeline, and returns a summary."""
