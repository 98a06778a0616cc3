"""What ``make run`` does: a simulated gateway, a real Airflow, one captured slot, a table.

Read in this order: ``__main__`` (the story), ``places`` (which file lies where), ``processes`` (children and how none
of them survives), ``airflow_home`` (its configuration), ``api`` (its REST API), ``session_walk`` (which slot is next),
``runs`` (make Airflow run it), ``summary`` (what was stored).
"""
