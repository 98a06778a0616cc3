"""The "Test connection" button of the hook, over real sockets: each situation its own sentence."""

import json
import socket

import pytest

from ibsim.launch import start_gateway
from opt_data.hooks.ib import IbHook


@pytest.fixture
def test_connection(monkeypatch):
    """Test a connection to a port, as Airflow's button does."""

    def test(port: int, **extra: int) -> tuple[bool, str]:
        connection = {"conn_type": "ib_gateway", "host": "127.0.0.1", "port": port, "extra": json.dumps(extra)}
        monkeypatch.setenv("AIRFLOW_CONN_IB_UNDER_TEST", json.dumps(connection))
        monkeypatch.setattr("opt_data.hooks.ib.TEST_TIMEOUT_S", 1.0)
        return IbHook("ib_under_test").test_connection()

    return test


@pytest.fixture
def gateway():
    """Start a gateway with some faults; ended after the test."""
    started = []

    def start(**faults):
        started.append(start_gateway({"faults": faults}))
        return started[-1]

    yield start
    for process in started:
        process.stop()


def test_a_live_gateway(test_connection, gateway):
    ok, message = test_connection(gateway().port)

    assert ok
    assert "client id 0, server version 176" in message


def test_the_test_works_inside_a_running_event_loop(test_connection, gateway):
    import asyncio

    port = gateway().port

    async def inside():
        return test_connection(port)

    assert asyncio.run(inside())[0]


def test_nothing_listens(test_connection):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

        ok, message = test_connection(port)

    assert not ok
    assert "nothing listens" in message


def test_the_port_answers_but_the_api_is_dead(test_connection, gateway):
    ok, message = test_connection(gateway(accept_silent=True).port)

    assert not ok
    assert "accepts connections but the IB API behind it is dead" in message


def test_client_ids_in_use(test_connection, gateway):
    ok, message = test_connection(gateway(client_ids_in_use=[7, 8]).port, client_id_first=7, client_id_count=2)

    assert not ok
    assert "every client id from 7 to 8 is in use" in message


def test_a_free_client_id_behind_one_in_use_is_found(test_connection, gateway):
    ok, message = test_connection(gateway(client_ids_in_use=[7]).port, client_id_first=7, client_id_count=2)

    assert ok
    assert "client id 8" in message


def test_a_bad_connection_is_explained(test_connection):
    ok, message = test_connection(4001, client_id=3)

    assert not ok
    assert "unknown extra client_id" in message
