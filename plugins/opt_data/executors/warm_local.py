"""A LocalExecutor whose workers have imported what a capture needs before they fork a task.

Airflow forks a process for every task from a worker of the executor. What the worker has imported costs the task
nothing; what it has not, every task imports again. A capture of 24 contracts works for a tenth of a second, but numpy,
pyarrow and the IB client take half a second to import, times every symbol and slot. So each worker imports them once,
when it starts. The scheduler, which forks the workers, still imports none of them.
"""

import asyncio
import gc
import importlib
import logging
import multiprocessing
import os
from multiprocessing.reduction import ForkingPickler
from typing import Any

from airflow.executors import local_executor

log = logging.getLogger(__name__)

IMPORTED_AHEAD = (
    "pyarrow.compute",
    "pyarrow.parquet",
    "opt_data.bootstrap",
    "opt_data.config.load",
    "opt_data.gateway.ib_client",
    "opt_data.gateway.market_data",
    "opt_data.hooks.ib",
    "opt_data.operators.capture",
    "opt_data.pipelines.capture_group",
    "opt_data.pipelines.capture_slot",
    "opt_data.pipelines.contract_sets",
    "opt_data.pipelines.rebuild_slot",
)
"""Modules of capture and discovery tasks. Our own are among them: restart the scheduler after an upgrade."""

LOOK_S = 1.0
"""How often an idle worker looks whether its scheduler is still there."""


class WarmLocalExecutor(local_executor.LocalExecutor):
    """The LocalExecutor with warm workers; configured as ``opt_data.executors.warm_local.WarmLocalExecutor``."""

    def _spawn_worker(self) -> None:
        """Start one worker, as the parent class does, with another function to run."""
        worker = multiprocessing.Process(
            target=run_warm_worker,
            kwargs={
                "logger_name": self.log.name,
                "input": self.activity_queue,
                "output": self.result_queue,
                "unread_messages": self._unread_messages,
                "team_conf": self.conf,
            },
        )
        worker.start()
        if worker.pid is None:
            raise RuntimeError("a worker that was started has no process id")
        self.workers[worker.pid] = worker


def run_warm_worker(*, input: Any, **arguments: Any) -> None:
    """Import ahead, then do what a worker of the LocalExecutor does until it is told to stop or has nobody left."""
    import_ahead()
    queue: Any = QueueOfScheduler(input)
    local_executor._run_worker(input=queue, **arguments)


class QueueOfScheduler:
    """The workers' queue, as one worker reads it: it ends with the scheduler that fills it.

    A worker of the LocalExecutor waits for ever if its scheduler was killed: the queue does not end, because the
    workers hold it open themselves. What the scheduler had put into it is still done.

    :param queue: the ``SimpleQueue`` that all workers share
    """

    def __init__(self, queue: Any) -> None:
        scheduler = multiprocessing.parent_process()
        self._queue = queue
        self._scheduler_pid = None if scheduler is None else scheduler.pid

    def get(self) -> Any:
        """Wait for the next workload.

        :raises EOFError: nothing is left, and the scheduler has gone
        """
        while True:
            with self._queue._rlock:
                if self._queue._reader.poll(LOOK_S):
                    return ForkingPickler.loads(self._queue._reader.recv_bytes())
            if os.getppid() != self._scheduler_pid:
                raise EOFError("the scheduler has gone")


def import_ahead() -> None:
    """Import what tasks need, and leave nothing behind that a forked process must not share.

    A module that cannot be imported is the task's to report, with its own log; the worker goes on without it.
    """
    for name in IMPORTED_AHEAD:
        try:
            importlib.import_module(name)
        except ImportError as error:
            log.warning("%s cannot be imported ahead: %s", name, error)
    # The IB client's event library makes itself an event loop while it is imported: tasks make their own.
    asyncio.set_event_loop(None)
    gc.freeze()  # or the first collection in each task would copy every page of what was imported
