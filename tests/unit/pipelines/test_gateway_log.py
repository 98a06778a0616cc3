"""What happens on a connection is kept line by line, and a full disk does not end the connection."""

from datetime import UTC, date, datetime

from opt_data.errors import StorageUnavailable
from opt_data.gateway.events import EventKind, GatewayEvent
from opt_data.gateway.session import GatewayAddress
from opt_data.pipelines.gateway_log import GatewayLog
from opt_data.storage.run_log import RunLog
from tests.fakes.clock import FixedClock

AT = datetime(2025, 11, 25, 3, 30, tzinfo=UTC)  # 22:30 of the 24th in New York
EVENT = GatewayEvent(AT, EventKind.NOTICE, "Connectivity has been lost.", 1100, 7)


def test_a_line_says_what_happened_where_and_to_whom(tmp_path):
    run_log = RunLog(tmp_path, FixedClock(AT))

    GatewayLog(run_log, GatewayAddress("gw", 4001), {"dag_run_id": "run", "map_index": 3})(EVENT)

    (line,) = run_log.read("gateway", date(2025, 11, 24))
    assert line == {
        "logged_at": "2025-11-25T03:30:00+00:00", "happened_at": "2025-11-25T03:30:00+00:00", "event": "notice",
        "code": 1100, "text": "Connectivity has been lost.", "client_id": 7, "skew_s": None, "uncertainty_s": None,
        "host": "gw", "port": 4001, "dag_run_id": "run", "map_index": 3,
    }  # fmt: skip


class FullDisk(RunLog):
    def append(self, task, day, record):
        raise StorageUnavailable("no space left", path="somewhere")


def test_a_full_disk_is_told_of_once(tmp_path, caplog):
    log = GatewayLog(FullDisk(tmp_path, FixedClock(AT)), GatewayAddress(), {})

    log(EVENT)
    log(EVENT)

    assert [record.getMessage() for record in caplog.records] == [
        "what happens on the connection is not kept: no space left"
    ]
