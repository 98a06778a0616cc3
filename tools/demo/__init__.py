"""What ``make run`` does: a simulated gateway, a real Airflow, a whole day, one screen.

Read in this order: ``__main__`` and ``story`` (the order of things), ``day_plan`` (the steps of the day, and what time
it is in the simulated market at each), ``day_walk`` (one step after the other), ``runs`` and ``run_lines`` (make
Airflow do one, and tell of it), ``day_files``, ``day_account``, ``day_screen`` (what was stored, whether it adds up,
how it is shown); then ``places`` (which file lies where), ``processes`` (children and how none of them survives),
``airflow_home`` (its configuration), ``api`` (its REST API).
"""
