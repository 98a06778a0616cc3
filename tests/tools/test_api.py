"""The demo's client of Airflow's REST API, against answers as the server gives them."""

import httpx
import pytest

from tools.demo.api import AirflowApi
from tools.demo.errors import DemoFailed


def client(*answers: httpx.Response) -> tuple[AirflowApi, list[str]]:
    """A client of a server that gives these answers one after the other, the last one for ever."""
    left, asked = list(answers), []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.path}")
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "a token"})
        return left.pop(0) if len(left) > 1 else left[0]

    return AirflowApi("http://airflow", "secret", busy_wait_s=0.0, transport=httpx.MockTransport(answer)), asked


BACKFILL = ("opt_data_intraday", "2025-11-24T14:30:00+00:00", "2025-11-24T21:00:00+00:00")


@pytest.mark.parametrize(("status", "created"), [(200, True), (409, False)])
def test_a_backfill_is_created_or_another_is_going_on(status: int, created: bool) -> None:
    api, _ = client(httpx.Response(status, json={}))

    assert api.create_backfill(*BACKFILL) is created


def test_a_busy_database_is_asked_again() -> None:
    api, asked = client(httpx.Response(503), httpx.Response(503), httpx.Response(200, json={}))

    assert api.create_backfill(*BACKFILL)
    assert asked == ["POST /api/v2/backfills"] * 3


def test_a_database_that_stays_busy_is_told() -> None:
    api, _ = client(httpx.Response(503, text="database is locked"))

    with pytest.raises(DemoFailed, match="503 database is locked"):
        api.create_backfill(*BACKFILL)


def test_an_old_token_is_renewed() -> None:
    api, asked = client(httpx.Response(401), httpx.Response(200, json={"dag_runs": []}))

    assert api.run_at("opt_data_eod", "2025-11-24T14:30:00+00:00") is None
    assert asked[1] == "POST /auth/token"
