"""One module, one verb, one stage of the work; no Airflow here."""
