"""What ``make backfill`` does: choose the runs, have Airflow's own backfill make them, say what they changed."""
