"""From an Airflow connection to the Redis server that keeps the allowance of several hosts."""

from typing import TYPE_CHECKING

from airflow.sdk.bases.hook import BaseHook

from opt_data.allowance.redis_store import RedisAddress
from opt_data.errors import ConfigInvalid

if TYPE_CHECKING:
    from airflow.sdk import Connection

_EXTRAS = {"db", "ssl"}


def allowance_redis(conn_id: str) -> RedisAddress | None:
    """The server that a connection names; None without a connection: tasks of one host need none.

    :raises ConfigInvalid: the connection names no host, or has unknown or malformed extras
    """
    return redis_address(BaseHook.get_connection(conn_id)) if conn_id else None


def redis_address(connection: "Connection") -> RedisAddress:
    """Translate an Airflow connection; unknown extras are refused, not passed over."""
    extras, conn_id = connection.extra_dejson, connection.conn_id
    if unknown := sorted(set(extras) - _EXTRAS):
        raise ConfigInvalid(f"connection {conn_id}: unknown extra {', '.join(unknown)}; known: {sorted(_EXTRAS)}")
    if not connection.host:
        raise ConfigInvalid(f"connection {conn_id}: set the host that Redis listens on")
    database, uses_tls = extras.get("db", 0), extras.get("ssl", False)
    if isinstance(database, bool) or not isinstance(database, int) or database < 0:
        raise ConfigInvalid(f"connection {conn_id}: db is {database!r}; it must be an integer of at least 0")
    if not isinstance(uses_tls, bool):
        raise ConfigInvalid(f"connection {conn_id}: ssl is {uses_tls!r}; it must be true or false")
    return RedisAddress(
        connection.host, connection.port or 6379, database, connection.login, connection.password, uses_tls
    )
