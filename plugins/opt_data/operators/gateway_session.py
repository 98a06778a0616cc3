"""The connection a task works with: which gateway, which client id first, whose turn."""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opt_data.config.models import Settings
    from opt_data.core.allowance import Priority
    from opt_data.gateway.session import GatewaySession
    from opt_data.hooks.ib import IbHook


def task_session(
    hook: "IbHook", settings: "Settings", context: Any, priority: "Priority"
) -> "AbstractAsyncContextManager[GatewaySession]":
    """Connect for one task instance, with its hand in the allowance that all tasks share.

    :raises GatewayUnavailable: nothing listens there, or the API is dead
    :raises ClientIdInUse: every client id of the connection's range is taken
    """
    from opt_data.bootstrap import allowance_share, gateway_limits
    from opt_data.gateway.session import open_session

    address = hook.get_conn()
    return open_session(
        address,
        gateway_limits(settings),
        first_choice=first_client_id(context),
        clock_source=settings.clock.source,
        share=allowance_share(settings, address, priority),
    )


def first_client_id(context: Any) -> int:
    """Where in the range of client ids an instance begins, so that parallel ones rarely ask for the same."""
    return max(0, context["ti"].map_index)
