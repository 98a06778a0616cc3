"""From the observations of a symbol's morning to the open interest of its day: pure, table in, table out."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from opt_data.core.open_interest import ReadVerdict
from opt_data.tables.arrow_rows import column_array, rows_from_table
from opt_data.tables.column import ColumnType
from opt_data.tables.flags import ordered_flags

if TYPE_CHECKING:
    import pyarrow as pa

FAILED_SESSIONS_MAX = 3
"""So many sessions in a row without a value: flag ``oi_enrichment_failed``."""

_FLAGS = {"missing_oi", "oi_not_rolled", "oi_enrichment_failed"}
_READ_BY = (
    "conid", "read_number", "open_interest", "verdict", "is_accepted", "observed_at", "known_at", "ingest_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Observed:
    """One contract's accepted open interest, and when it was seen (aware UTC)."""

    contracts: int
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class LastRead:
    """The newest read of a session: its values by conid, None where there was none."""

    number: int
    verdict: ReadVerdict
    observed_at: datetime
    values: dict[int, int | None]


@dataclass(frozen=True, slots=True)
class DayOpenInterest:
    """What is on file of one symbol's open interest for one session; ``last`` is None before the first read."""

    day: date
    accepted: dict[int, Observed] = field(default_factory=dict)
    last: LastRead | None = None

    @property
    def is_failed(self) -> bool:
        """It was tried, and there is nothing."""
        return self.last is not None and not self.accepted


def day_open_interest(day: date, reads: "pa.Table") -> DayOpenInterest:
    """Fold all observations of one symbol and session; their order does not matter.

    Of two accepted values of a contract, which only two runs at once can leave, the one known first counts.
    """
    rows = rows_from_table(reads, _READ_BY)
    rows.sort(key=lambda row: (row["read_number"], row["known_at"], row["ingest_id"]))
    accepted: dict[int, Observed] = {}
    for row in rows:
        if row["is_accepted"]:
            accepted.setdefault(row["conid"], Observed(row["open_interest"], row["observed_at"]))
    if not rows:
        return DayOpenInterest(day)
    newest = [row for row in rows if row["ingest_id"] == rows[-1]["ingest_id"]]
    last = LastRead(
        number=newest[-1]["read_number"],
        verdict=ReadVerdict(newest[-1]["verdict"]),
        observed_at=max(row["observed_at"] for row in newest),
        values={row["conid"]: row["open_interest"] for row in newest},
    )
    return DayOpenInterest(day, accepted, last)


def with_open_interest(daily: "pa.Table", on_file: DayOpenInterest, failed_sessions: int = 0) -> "pa.Table":
    """The rows of one symbol-day of ``daily_clean`` with open interest and its flags, all else as it is.

    What the rows said of open interest before is replaced, so that merging again changes nothing. A row without a
    value is flagged ``missing_oi``, also before the first read.

    Parameters
    ----------
    daily
        Rows of the daily data set.
    on_file
        The observations of that symbol and session.
    failed_sessions
        How many sessions in a row, this one included, were tried and have nothing.
    """
    found = [on_file.accepted.get(conid) for conid in daily.column("conid").to_pylist()]
    trouble = set()
    if on_file.is_failed and on_file.last is not None and on_file.last.verdict is ReadVerdict.NOT_ROLLED:
        trouble.add("oi_not_rolled")
    if failed_sessions >= FAILED_SESSIONS_MAX:
        trouble.add("oi_enrichment_failed")
    flags = [
        ordered_flags((set(old) - _FLAGS) | ({"missing_oi"} | trouble if one is None else set()))
        for old, one in zip(daily.column("data_quality_flag").to_pylist(), found, strict=True)
    ]
    columns: dict[str, tuple[ColumnType, list[Any]]] = {
        "open_interest": (ColumnType.INT64, [one and one.contracts for one in found]),
        "oi_asof_date": (ColumnType.DATE, [one and on_file.day for one in found]),
        "oi_observed_at": (ColumnType.TIMESTAMP, [one and one.observed_at for one in found]),
        "data_quality_flag": (ColumnType.STRING_LIST, flags),
    }
    for name, (kind, values) in columns.items():
        index = daily.schema.get_field_index(name)
        daily = daily.set_column(index, daily.schema.field(index), column_array(kind, values))
    return daily
