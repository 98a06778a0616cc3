"""The hook behind connections of type ``ib_gateway``."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.hook import BaseHook

from opt_data.errors import ConfigInvalid, OptDataError
from opt_data.gateway.session import GatewayAddress, GatewayLimits, open_session

if TYPE_CHECKING:
    from airflow.sdk import Connection

TEST_TIMEOUT_S = 8.0
_EXTRAS = {"client_id_first", "client_id_count", "market_data_type", "read_only"}


class IbHook(BaseHook):
    """Reads an ``ib_gateway`` connection and shakes hands with what it names.

    :param ib_conn_id: the connection
    """

    conn_name_attr = "ib_conn_id"
    default_conn_name = "ib_gateway"
    conn_type = "ib_gateway"
    hook_name = "IB Gateway"

    def __init__(self, ib_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.ib_conn_id = ib_conn_id

    def get_conn(self) -> GatewayAddress:
        """Where the gateway listens and which client ids may be used.

        :raises ConfigInvalid: the connection has unknown or malformed extras
        """
        return gateway_address(self._connection)

    def market_data_type(self) -> int | None:
        """The market data type the connection prescribes, or None to use the configuration's."""
        return _market_data_type(_extras(self._connection))

    @cached_property
    def _connection(self) -> "Connection":
        """Asked for once: in a task each look is a request to the API server."""
        return self.get_connection(self.ib_conn_id)

    def test_connection(self) -> tuple[bool, str]:
        """Shake hands with the gateway: tells "nothing listens" from "the API is dead" from "client id in use"."""
        try:
            connection = self._connection
            address = gateway_address(connection)
        except OptDataError as error:
            return False, str(error)
        # In a thread of its own: callers may be inside a running event loop.
        with ThreadPoolExecutor(max_workers=1) as pool:
            return pool.submit(lambda: asyncio.run(_shake_hands(address))).result()


def gateway_address(connection: "Connection") -> GatewayAddress:
    """Translate an Airflow connection; unknown extras are refused, not passed through."""
    extras = _extras(connection)
    conn_id = connection.conn_id
    unknown = sorted(set(extras) - _EXTRAS)
    if unknown:
        raise ConfigInvalid(f"connection {conn_id}: unknown extra {', '.join(unknown)}; known: {sorted(_EXTRAS)}")
    if extras.get("read_only") is False:
        raise ConfigInvalid(f"connection {conn_id}: read_only cannot be switched off, this package never trades")
    _market_data_type(extras)
    first = _integer(conn_id, extras, "client_id_first", 0, minimum=0)
    count = _integer(conn_id, extras, "client_id_count", 32, minimum=1)
    if not connection.port:
        raise ConfigInvalid(f"connection {conn_id}: set the gateway's API port (4001 live, 4002 paper)")
    return GatewayAddress(connection.host or "127.0.0.1", int(connection.port), first, count)


async def _shake_hands(address: GatewayAddress) -> tuple[bool, str]:
    limits = GatewayLimits(connect_timeout_s=TEST_TIMEOUT_S, request_timeout_s=TEST_TIMEOUT_S)
    try:
        async with open_session(address, limits) as session:
            now = await session.current_time()
            version = session.ib.client.serverVersion()
    except OptDataError as error:
        return False, str(error)
    return True, (
        f"The IB API at {address.host}:{address.port} answers: client id {session.client_id}, "
        f"server version {version}, gateway time {now:%Y-%m-%d %H:%M:%S} UTC"
    )


def _extras(connection: "Connection") -> Mapping[str, Any]:
    extras = connection.extra_dejson
    return {key: value for key, value in extras.items() if value is not None and value != ""}


def _market_data_type(extras: Mapping[str, Any]) -> int | None:
    if "market_data_type" not in extras:
        return None
    if extras["market_data_type"] not in (1, 2, 3, 4):
        raise ConfigInvalid(f"market_data_type is {extras['market_data_type']!r}; it must be 1, 2, 3 or 4, or empty")
    return int(extras["market_data_type"])


def _integer(conn_id: str, extras: Mapping[str, Any], name: str, default: int, *, minimum: int) -> int:
    value = extras.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ConfigInvalid(f"connection {conn_id}: {name} is {value!r}; it must be an integer of at least {minimum}")
    return value
