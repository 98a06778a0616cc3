"""The connection a task works with: which gateway, which client id first, whose turn."""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opt_data.config.models import Settings
    from opt_data.core.allowance import Priority
    from opt_data.core.allowance_share import AllowanceShare
    from opt_data.gateway.session import GatewayAddress, GatewaySession
    from opt_data.hooks.ib import IbHook
    from opt_data.pipelines.gateway_log import GatewayLog


def task_session(
    hook: "IbHook", settings: "Settings", context: Any, priority: "Priority"
) -> "AbstractAsyncContextManager[GatewaySession]":
    """Connect for one task instance, with its hand in the allowance that all tasks share.

    :raises GatewayUnavailable: nothing listens there, or the API is dead
    :raises ClientIdInUse: every client id of the connection's range is taken
    """
    from opt_data.bootstrap import gateway_limits
    from opt_data.gateway.session import open_session

    address = hook.get_conn()
    return open_session(
        address,
        gateway_limits(settings),
        first_choice=first_client_id(context),
        clock_source=settings.clock.source,
        share=task_share(settings, address, priority),
        observer=task_gateway_log(settings, address, context),
    )


def task_share(settings: "Settings", address: "GatewayAddress", priority: "Priority") -> "AllowanceShare":
    """One task's hand in the allowance, among the tasks of this host or of all hosts, as the settings say."""
    from opt_data.bootstrap import allowance_share
    from opt_data.hooks.allowance import allowance_redis

    return allowance_share(settings, address, priority, allowance_redis(settings.gateway.allowance_redis_conn_id))


def task_gateway_log(settings: "Settings", address: "GatewayAddress", context: Any) -> "GatewayLog":
    """Where one task instance keeps what happens on its connection."""
    from opt_data.bootstrap import gateway_log

    ti = context["ti"]
    task = {
        "dag_id": ti.dag_id,
        "dag_run_id": context["run_id"],
        "task_id": ti.task_id,
        "map_index": ti.map_index,
        "try_number": ti.try_number,
    }
    return gateway_log(settings, address, task)


def first_client_id(context: Any) -> int:
    """Where in the range of client ids an instance begins, so that parallel ones rarely ask for the same."""
    return max(0, context["ti"].map_index)
