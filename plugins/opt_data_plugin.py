"""Tells Airflow which timetables and deadlines this package adds. Registration only: no logic, nothing heavy."""

from airflow.plugins_manager import AirflowPlugin

from opt_data.notifications.deadlines import RunDeadline
from opt_data.timetables.next_morning import NextMorningTimetable
from opt_data.timetables.sessions import SessionTimetable
from opt_data.timetables.slots import SlotTimetable


class OptDataPlugin(AirflowPlugin):
    name = "opt_data"
    timetables = (SlotTimetable, SessionTimetable, NextMorningTimetable)
    deadline_references = (RunDeadline,)
