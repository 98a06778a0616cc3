"""Deadlines of DAG runs, and the ways people hear of a missed one."""
