"""Airflow connections, turned into what the package below understands."""
