"""Airflow's REST API, as far as the demo needs it."""

import time
from collections.abc import Mapping
from typing import Any

import httpx

from tools.demo.airflow_home import LOGIN
from tools.demo.errors import DemoFailed

NOT_FOUND = 404
CONFLICT = 409
BUSY = 503
BUSY_TRIES = 40
BUSY_WAIT_S = 0.5
BAD_REQUEST = 400


class AirflowApi:
    """A logged-in client of the API server at ``address``; asks for a new token when the old one is refused.

    Proxies of the environment are not used: the server listens on loopback.

    Parameters
    ----------
    busy_wait_s
        How long to wait before asking a busy server again.
    transport
        Stands in for the network in tests.
    """

    def __init__(
        self,
        address: str,
        password: str,
        *,
        busy_wait_s: float = BUSY_WAIT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.address = address
        self._password = password
        self._busy_wait_s = busy_wait_s
        self._client = httpx.Client(base_url=address, timeout=30.0, trust_env=False, transport=transport)

    def close(self) -> None:
        self._client.close()

    def is_answering(self) -> bool:
        """Whether the server is up and takes our login."""
        try:
            self._log_in()
        except (httpx.TransportError, DemoFailed):
            return False
        return True

    def health(self) -> dict[str, Any]:
        """Status and newest heartbeat of the database, scheduler, triggerer and DAG processor."""
        return self._ask("GET", "/monitor/health")

    def import_errors(self) -> list[dict[str, Any]]:
        """Files Airflow could not parse, each with ``filename`` and ``stack_trace``."""
        found: list[dict[str, Any]] = self._ask("GET", "/importErrors")["import_errors"]
        return found

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """One DAG, or None if Airflow does not know it (yet)."""
        return self._find(f"/dags/{dag_id}")

    def unpause(self, dag_id: str) -> None:
        """Let runs of the DAG start."""
        self._ask("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def set_pool(self, name: str, slots: int, description: str) -> None:
        """Create the pool; one that exists keeps the slots a person gave it."""
        if self._find(f"/pools/{name}") is None:
            pool = {"name": name, "slots": slots, "description": description, "include_deferred": True}
            self._ask("POST", "/pools", json=pool)

    def set_connection(self, connection: Mapping[str, Any]) -> None:
        """Create the connection, or point an existing one at ``host`` and ``port``, leaving the rest as it is."""
        path = f"/connections/{connection['connection_id']}"
        if self._find(path) is None:
            self._ask("POST", "/connections", json=dict(connection))
        else:
            self._ask("PATCH", path, params={"update_mask": ["host", "port"]}, json=dict(connection))

    def run(self, dag_id: str, run_id: str) -> dict[str, Any] | None:
        """One DAG run, or None."""
        return self._find(f"/dags/{dag_id}/dagRuns/{run_id}")

    def run_at(self, dag_id: str, logical_date: str) -> dict[str, Any] | None:
        """The DAG run of a logical date (ISO, aware), whoever asked for it, or None."""
        runs = self.runs_between(dag_id, logical_date, logical_date)
        return runs[0] if runs else None

    def runs_between(self, dag_id: str, first: str, last: str) -> list[dict[str, Any]]:
        """The DAG runs from one logical date to another (ISO, aware), both included."""
        dates = {"logical_date_gte": first, "logical_date_lte": last, "limit": 100}
        runs: list[dict[str, Any]] = self._ask("GET", f"/dags/{dag_id}/dagRuns", params=dates)["dag_runs"]
        return runs

    def succeeded_runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The newest runs of a DAG that succeeded, by logical date, at most a hundred."""
        newest = {"state": "success", "order_by": "-logical_date", "limit": 100}
        runs: list[dict[str, Any]] = self._ask("GET", f"/dags/{dag_id}/dagRuns", params=newest)["dag_runs"]
        return runs

    def create_backfill(self, dag_id: str, first: str, last: str) -> bool:
        """Create runs for the logical dates that have none; False while another backfill of the DAG is going on."""
        body = {"dag_id": dag_id, "from_date": first, "to_date": last, "reprocess_behavior": "none"}
        response = self._send("POST", "/backfills", json=body)
        if response.status_code == CONFLICT:
            return False
        self._body("POST", "/backfills", response)
        return True

    def trigger(self, dag_id: str, run_id: str, logical_date: str, note: str) -> dict[str, Any]:
        """Ask for a run of the DAG at a logical date (ISO, aware)."""
        body = {"dag_run_id": run_id, "logical_date": logical_date, "note": note}
        return self._ask("POST", f"/dags/{dag_id}/dagRuns", json=body)

    def set_run_failed(self, dag_id: str, run_id: str) -> None:
        """Give up a run: its running and waiting tasks end as failed or skipped."""
        self._ask("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": "failed"})

    def clear_run(self, dag_id: str, run_id: str) -> None:
        """Queue every task of a run again."""
        body = {"dry_run": False, "only_failed": False}
        self._ask("POST", f"/dags/{dag_id}/dagRuns/{run_id}/clear", json=body)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """All task instances of a run, mapped ones included."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._ask(
                "GET",
                f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances",
                params={"limit": 100, "offset": len(found), "order_by": "map_index"},
            )
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def returned(self, task: Mapping[str, Any]) -> Any:
        """What a task instance returned, or None."""
        run = f"/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}"
        path = f"{run}/taskInstances/{task['task_id']}/xcomEntries/return_value"
        found = self._find(path, params={"map_index": task["map_index"], "deserialize": False, "stringify": False})
        return None if found is None else found["value"]

    def _find(self, path: str, **request: Any) -> dict[str, Any] | None:
        response = self._send("GET", path, **request)
        if response.status_code == NOT_FOUND:
            return None
        return self._body("GET", path, response)

    def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        return self._body(method, path, self._send(method, path, **request))

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send, and again for as long as Airflow says that its database is busy and that nothing was done."""
        for _ in range(BUSY_TRIES):
            response = self._send_once(method, path, **request)
            if response.status_code != BUSY:
                break
            time.sleep(self._busy_wait_s)
        return response

    def _send_once(self, method: str, path: str, **request: Any) -> httpx.Response:
        response = self._client.request(method, f"/api/v2{path}", **request)
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            self._log_in()
            response = self._client.request(method, f"/api/v2{path}", **request)
        return response

    def _body(self, method: str, path: str, response: httpx.Response) -> dict[str, Any]:
        if response.status_code >= BAD_REQUEST:
            raise DemoFailed(f"Airflow refused {method} {path}: {response.status_code} {response.text[:2000]}")
        body: dict[str, Any] = response.json() if response.content else {}
        return body

    def _log_in(self) -> None:
        response = self._client.post("/auth/token", json={"username": LOGIN, "password": self._password})
        if response.status_code >= BAD_REQUEST:
            raise DemoFailed(f"Airflow refused the login {LOGIN}: {response.status_code} {response.text[:500]}")
        self._client.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
