"""Source of the DAGs that the timetable tests let a real Airflow parse."""

PROBES = '''
import pendulum
from airflow.sdk import DAG, task

from opt_data.timetables.sessions import SessionTimetable
from opt_data.timetables.slots import SlotTimetable

START = pendulum.datetime(2025, 1, 2, tz="UTC")


@task
def noop() -> None:
    """Nothing."""


with DAG("probe_slots", schedule=SlotTimetable(), start_date=START, catchup=False):
    noop()

with DAG(
    "probe_discovery", schedule=SessionTimetable(anchor="open", offset_min=-5), start_date=START, catchup=False
):
    noop()
'''
