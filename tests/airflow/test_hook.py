"""The connection type: what is accepted, what the form shows. Handshakes are tested against the simulated gateway."""

import pytest
from airflow.sdk import Connection

from opt_data.errors import ConfigInvalid
from opt_data.gateway.session import GatewayAddress
from opt_data.hooks.ib import IbHook, gateway_address
from opt_data.provider_info import get_provider_info


def connection(extra=None, **fields):
    import json

    values = {"conn_id": "ib_gateway", "conn_type": "ib_gateway", "host": "127.0.0.1", "port": 4001} | fields
    return Connection(**values, extra=json.dumps(extra) if extra is not None else None)


def test_a_plain_connection_uses_the_defaults():
    assert gateway_address(connection()) == GatewayAddress("127.0.0.1", 4001, 0, 32)


def test_extras_name_the_client_ids():
    extra = {"client_id_first": 100, "client_id_count": 20, "market_data_type": 3, "read_only": True}

    assert gateway_address(connection(extra)) == GatewayAddress("127.0.0.1", 4001, 100, 20)


def test_empty_form_fields_mean_the_default():
    extra = {"client_id_first": None, "client_id_count": "", "market_data_type": None, "read_only": None}

    assert gateway_address(connection(extra)) == GatewayAddress("127.0.0.1", 4001, 0, 32)


@pytest.mark.parametrize(
    ("extra", "fields", "message"),
    [
        pytest.param({"client_id": 7}, {}, "unknown extra client_id", id="unknown-extra"),
        pytest.param({"read_only": False}, {}, "never trades", id="not-read-only"),
        pytest.param({"market_data_type": 5}, {}, "must be 1, 2, 3 or 4", id="market-data-type"),
        pytest.param({"client_id_count": 0}, {}, "at least 1", id="no-client-ids"),
        pytest.param({"client_id_first": "7"}, {}, "must be an integer", id="text-for-number"),
        pytest.param({}, {"port": None}, "set the gateway's API port", id="no-port"),
    ],
)
def test_bad_connections_say_what_to_change(extra, fields, message):
    with pytest.raises(ConfigInvalid, match=message):
        gateway_address(connection(extra, **fields))


@pytest.mark.parametrize(("first", "expected"), [(0, (10, 11, 12)), (1, (11, 12, 10)), (5, (12, 10, 11))])
def test_parallel_tasks_begin_at_different_client_ids(first, expected):
    assert GatewayAddress("h", 1, 10, 3).client_ids(first) == expected


def test_the_form_offers_what_the_hook_understands():
    (connection_type,) = get_provider_info()["connection-types"]

    assert connection_type["connection-type"] == IbHook.conn_type
    assert set(connection_type["conn-fields"]) == {
        "client_id_first", "client_id_count", "market_data_type", "read_only",
    }  # fmt: skip


def test_airflow_knows_the_connection_type(airflow_home):
    listed = airflow_home.run("providers", "hooks", "-o", "json")

    assert "opt_data.hooks.ib.IbHook" in listed
    assert '"ib_gateway"' in listed


def test_a_task_asks_for_its_connection_once(monkeypatch):
    asked = []

    def look_up(conn_id):
        asked.append(conn_id)
        return connection({"market_data_type": 3})

    monkeypatch.setattr(IbHook, "get_connection", staticmethod(look_up))
    hook = IbHook("ib_gateway")

    assert (hook.get_conn().port, hook.market_data_type(), hook.get_conn().port) == (4001, 3, 4001)
    assert asked == ["ib_gateway"]
