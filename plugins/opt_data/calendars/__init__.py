"""Answers about XNYS sessions: the library's rules, corrected by the overrides file.

``default_calendar()`` is the door. Importing this package costs nothing; the calendar library is imported when the
first question is asked.
"""

from functools import cache
from pathlib import Path

from opt_data.calendars.fixed_hours import FixedHoursFallback
from opt_data.calendars.overrides import OverridesFile
from opt_data.calendars.xnys import XnysCalendar
from opt_data.core.sessions import SessionCalendar

__all__ = ["check_overrides", "default_calendar", "overrides_file"]

# <project>/plugins/opt_data/calendars/__init__.py: found from the package, not from AIRFLOW_HOME or the current folder,
# because the scheduler, the workers and a person's shell have different ones.
_PROJECT_ROOT = Path(__file__).resolve().parents[3]


def default_calendar(overrides: Path | None = None, *, fixed_hours_fallback: bool = False) -> SessionCalendar:
    """Give the XNYS calendar that every part of this process shares.

    Asking again with the same arguments gives the same object, so that its tables are built once. It follows changes
    of the overrides file by itself.

    Parameters
    ----------
    overrides
        The overrides file; without it, see ``overrides_file``.
    fixed_hours_fallback
        Answer with 09:30-16:00, Monday to Friday, where the calendar has no answer, and log it. Off: such a question
        raises ``CalendarUnavailable``.
    """
    return _calendar(overrides_file(overrides), fixed_hours_fallback)


def overrides_file(explicit: Path | None = None) -> OverridesFile:
    """Find the overrides file: the one that the settings name, else the project's own.

    A file that somebody named must exist. The project's own may be missing: then there are no overrides.
    """
    if explicit is not None:
        return OverridesFile(explicit.absolute())
    return OverridesFile(_PROJECT_ROOT / "include" / "config" / "calendar_overrides.csv", may_be_missing=True)


def check_overrides(explicit: Path | None = None) -> None:
    """Read the overrides file and forget it. Cheap: no calendar library.

    Raises
    ------
    ConfigInvalid
        With file, line and remedy.
    """
    overrides_file(explicit).read()


@cache
def _calendar(overrides: OverridesFile, fixed_hours_fallback: bool) -> SessionCalendar:
    calendar = XnysCalendar(overrides)
    return FixedHoursFallback(calendar) if fixed_hours_fallback else calendar
