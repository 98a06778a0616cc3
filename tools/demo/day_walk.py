"""Walk through a day's steps: move the simulated market's clock, have Airflow do what belongs to that moment."""

import time
from collections.abc import Callable
from datetime import datetime

from opt_data.core.sessions import NEW_YORK
from tools.demo import run_lines, runs
from tools.demo.api import AirflowApi
from tools.demo.day_plan import Action, DayPlan, Step
from tools.demo.progress import Progress


def walk(
    plan: DayPlan,
    api: AirflowApi,
    set_clock: Callable[[datetime], object],
    progress: Progress,
    require_alive: Callable[[], None],
) -> None:
    """Do every step that was not done before, one after the other.

    A step's run has ended before the clock moves on. Once a step has to be done, so have all after it: they rest on it.

    Parameters
    ----------
    set_clock
        Moves the simulated market's time.

    Raises
    ------
    RunFailed
        A run did not succeed; the steps after it are left for the next start.
    """
    is_going_on = False
    for number, step in enumerate(plan.steps, 1):
        if not is_going_on and runs.is_done(api, step):
            progress.say(f"{_place(number, step, plan)}  {step.title}: done before")
            continue
        set_clock(step.moment)
        progress.say(f"{_place(number, step, plan)}  {step.title}")
        if step.action is Action.MISS:
            continue
        is_going_on = True
        began = time.monotonic()
        tasks = runs.complete(api, step, progress, require_alive)
        progress.say(f"    {run_lines.results(api, tasks) or step.dag_id} ({time.monotonic() - began:.0f} s)")


def _place(number: int, step: Step, plan: DayPlan) -> str:
    return f"{number:>2}/{len(plan.steps)}  {step.moment.astimezone(NEW_YORK):%a %H:%M}"
