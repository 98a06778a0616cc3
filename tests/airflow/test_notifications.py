"""What happens when a deadline passes: the file first, then every channel whose connection exists."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from opt_data.errors import CompetingSession, ConfigInvalid, GatewayUnavailable, SymbolsUnfinished
from opt_data.notifications.competing import tell_of_competing_session

CONTEXT = {
    "dag_run": {
        "dag_id": "opt_data_intraday",
        "dag_run_id": "scheduled__2025-11-24T15:00:00+00:00",
        "logical_date": "2025-11-24T15:00:00Z",
        "data_interval_start": "2025-11-24T15:00:00Z",
        "state": "running",
    },
    "deadline": {"id": "x", "deadline_time": "2025-11-24T15:20:00+00:00"},
}


class Webhook:
    """An HTTP server that keeps what it is sent and answers with ``status``."""

    def __init__(self) -> None:
        self.status = 200
        self.received: list[tuple[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.received.append((self.path, json.loads(body)))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Not on standard error."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def state_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPT_DATA__PATHS__STATE_ROOT", str(tmp_path / "state"))
    return tmp_path / "state"


def connect(monkeypatch: pytest.MonkeyPatch, webhook: Webhook) -> None:
    connection = {"conn_type": "generic", "host": webhook.address + "/services", "password": "T0/secret"}
    monkeypatch.setenv("AIRFLOW_CONN_OPT_DATA_WEBHOOK", json.dumps(connection))


async def report() -> list[str]:
    from opt_data.notifications.missed import report_missed_deadline

    return await report_missed_deadline("20 min after the slot", CONTEXT)


def written(state_root: Path) -> list[dict[str, Any]]:
    lines = (state_root / "run_logs" / "deadlines" / "2025-11-24.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


async def test_without_connections_there_is_the_file_alone(state_root: Path) -> None:
    assert await report() == []

    (line,) = written(state_root)
    assert (line["event"], line["dag_id"], line["state"]) == ("missed", "opt_data_intraday", "running")
    assert line["due"] == "2025-11-24T15:20:00+00:00"
    assert "due at 2025-11-24 10:20 New York (20 min after the slot)" in line["message"]


async def test_a_webhook_whose_connection_exists_is_told(
    state_root: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, webhook)

    assert await report() == ["webhook"]

    ((path, body),) = webhook.received
    assert path == "/services/T0/secret"
    assert body["text"].startswith("opt_data_intraday missed its deadline")
    assert [line["event"] for line in written(state_root)] == ["missed", "told"]


async def test_a_channel_that_refuses_is_written_down_without_its_secret(
    state_root: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, webhook)
    webhook.status = 403

    assert await report() == []

    missed, refused = written(state_root)
    assert missed["event"] == "missed"
    assert (refused["event"], refused["channel"]) == ("not_told", "webhook")
    assert "403" in refused["error"]
    assert "secret" not in json.dumps(refused)


async def test_mail_goes_to_the_names_of_the_settings(state_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    sent: list[dict[str, Any]] = []

    async def take(self: SmtpHook, **mail: Any) -> None:
        sent.append(mail)

    async def enter(self: SmtpHook) -> SmtpHook:
        return self

    async def leave(self: SmtpHook, *error: object) -> None:
        return None

    monkeypatch.setattr(SmtpHook, "asend_email_smtp", take)
    monkeypatch.setattr(SmtpHook, "__aenter__", enter)
    monkeypatch.setattr(SmtpHook, "__aexit__", leave)
    monkeypatch.setattr(SmtpHook, "from_email", "airflow@example.org")
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", "smtp://mail.example.org:25")
    monkeypatch.setenv("OPT_DATA__ALERTS__MAIL_TO", '["oncall@example.org"]')

    assert await report() == ["mail"]

    (mail,) = sent
    assert mail["to"] == ["oncall@example.org"]
    assert mail["subject"].startswith("opt_data_intraday missed its deadline")


def test_a_webhook_needs_an_address() -> None:
    from airflow.sdk import Connection

    from opt_data.notifications.webhook import webhook_address

    with pytest.raises(ConfigInvalid, match="http"):
        webhook_address(Connection(conn_id="opt_data_webhook", conn_type="generic", host="hooks.example.org"))


COMPETING: dict[str, Any] = {
    "ti": SimpleNamespace(dag_id="opt_data_intraday", task_id="capture"),
    "run_id": "scheduled__2025-11-24T15:00:00+00:00",
    "data_interval_start": datetime(2025, 11, 24, 15, 0, tzinfo=UTC),
    "exception": CompetingSession("IB 10197: No market data during competing live session"),
}


def test_another_login_is_told_of_at_once_and_once_a_run(
    state_root: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, webhook)
    group = SymbolsUnfinished("2 of 5", errors=(CompetingSession("IB 10197"), KeyError("a bug")))
    next_run = COMPETING | {"run_id": "scheduled__2025-11-24T15:30:00+00:00", "exception": group}

    told = [tell_of_competing_session(context) for context in (COMPETING, COMPETING, next_run, next_run)]

    assert told == [["webhook"], [], ["webhook"], []]
    texts = [body["text"] for _, body in webhook.received]
    assert len(texts) == 2
    assert "capture of opt_data_intraday of 2025-11-24 10:00 New York is stopped" in texts[0]
    assert "IB 10197: No market data during competing live session" in texts[0]
    (path,) = (state_root / "run_logs" / "competing_session").glob("*.jsonl")
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["found", "told", "found", "told"]


def test_any_other_failure_wakes_nobody(state_root: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, webhook)

    assert tell_of_competing_session(COMPETING | {"exception": GatewayUnavailable("gone")}) == []
    assert tell_of_competing_session({name: COMPETING[name] for name in COMPETING if name != "exception"}) == []

    assert webhook.received == []
    assert not (state_root / "run_logs" / "competing_session").exists()
