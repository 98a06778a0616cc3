"""Where the allowance is kept, by setting and connection."""

import json

import pytest

from opt_data.allowance.file_store import FileStore
from opt_data.allowance.redis_store import RedisAddress, RedisStore
from opt_data.config.load import load_settings
from opt_data.core.allowance import Priority
from opt_data.errors import ConfigInvalid
from opt_data.gateway.session import GatewayAddress
from opt_data.hooks.allowance import allowance_redis
from opt_data.operators.gateway_session import task_share

ADDRESS = GatewayAddress("gw", 4001)


@pytest.fixture
def connection(monkeypatch):
    def define(**fields):
        monkeypatch.setenv("AIRFLOW_CONN_SHARED", json.dumps({"conn_type": "generic"} | fields))

    return define


def store_of(tmp_path, conn_id):
    environ = {
        "OPT_DATA__PATHS__STATE_ROOT": str(tmp_path),
        "OPT_DATA__GATEWAY__ALLOWANCE_REDIS_CONN_ID": conn_id,
    }
    return task_share(load_settings(environ=environ), ADDRESS, Priority.SLOT)._store


def test_one_host_needs_no_server(tmp_path):
    assert isinstance(store_of(tmp_path, ""), FileStore)


def test_several_hosts_share_through_the_connection_that_is_named(tmp_path, connection):
    connection(host="redis.example.org", login="us", password="word", extra={"db": 2, "ssl": True})

    store = store_of(tmp_path, "shared")

    assert isinstance(store, RedisStore)
    assert store._address == RedisAddress("redis.example.org", 6379, 2, "us", "word", uses_tls=True)
    assert store._key == "opt_data:allowance:gw:4001"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "set the host"),
        ({"host": "h", "extra": {"database": 1}}, "unknown extra database"),
        ({"host": "h", "extra": {"db": -1}}, "db is -1"),
        ({"host": "h", "extra": {"ssl": "yes"}}, "ssl is 'yes'"),
    ],
)
def test_a_connection_that_cannot_be_meant_is_refused(connection, fields, said):
    connection(**fields)

    with pytest.raises(ConfigInvalid, match=said):
        allowance_redis("shared")
