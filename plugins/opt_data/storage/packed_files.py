"""Reading compacted files in parts: row groups are found by their statistics."""

from collections.abc import Iterator, Sequence
from datetime import date
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from opt_data.errors import FileUnreadable
from opt_data.storage.port import ObjectStore
from opt_data.storage.swaps import Located
from opt_data.tables.arrow import conform, empty_table
from opt_data.tables.datasets import Dataset

if TYPE_CHECKING:
    import pyarrow as pa

_Range = tuple[Any, Any] | None


class PackedFile:
    """One compacted file, sorted by underlying, trade date, slot and conid. Holds one row group in memory at a time.

    Parameters
    ----------
    file
        The file, open for reading; closed at the end of the context.
    dataset
        What its rows are.
    origin
        Its key, for messages.

    Raises
    ------
    FileUnreadable
        From every method: the file is truncated or damaged.
    """

    def __init__(self, file: BinaryIO, dataset: Dataset, *, origin: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._file = file
        self._dataset = dataset
        self._origin = origin
        self._held: tuple[int, pa.Table] | None = None
        try:
            self._parquet = pq.ParquetFile(file, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            file.close()
            raise self._unreadable(error) from error
        self._ranges = [self._range_of(group) for group in range(self._parquet.num_row_groups)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def rows(self) -> int:
        return int(self._parquet.metadata.num_rows)

    @property
    def codecs(self) -> frozenset[str]:
        """The codecs of its columns, in lower case."""
        metadata = self._parquet.metadata
        return frozenset(
            metadata.row_group(group).column(column).compression.lower()
            for group in range(metadata.num_row_groups)
            for column in range(metadata.num_columns)
        )

    def symbol_days(self) -> tuple[tuple[str, date], ...]:
        """Which symbols it holds on which days, sorted."""
        import pyarrow as pa

        found: set[tuple[str, date]] = set()
        try:
            for group in range(self._parquet.num_row_groups):
                names = self._parquet.read_row_group(group, columns=["underlying", "trade_date"], use_threads=False)
                pairs = names.group_by(["underlying", "trade_date"]).aggregate([])
                columns = (pairs.column("underlying").to_pylist(), pairs.column("trade_date").to_pylist())
                found.update(zip(*columns, strict=True))
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error
        return tuple(sorted(found))

    def read(self, symbol: str, day: date | None = None, slot: int | None = None) -> "pa.Table":
        """The rows of a symbol, of all days or one, of all slots or one."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pc.field("underlying") == symbol
        if day is not None:
            wanted &= pc.field("trade_date") == pa.scalar(day)
        if slot is not None:
            wanted &= pc.field("slot_30m") == slot
        tables = [
            self._group(group).filter(wanted)
            for group, (symbols, days) in enumerate(self._ranges)
            if _can_hold(symbols, symbol) and (day is None or _can_hold(days, day))
        ]
        tables = [table for table in tables if table.num_rows]
        return pa.concat_tables(tables) if tables else empty_table(self._dataset)

    def without(self, symbol: str) -> "Iterator[tuple[pa.Table, float]]":
        """All rows of other symbols, row group by row group, each with the share of the file it ends at."""
        import pyarrow.compute as pc

        for group in range(len(self._ranges)):
            table = self._group(group).filter(pc.field("underlying") != symbol)
            if table.num_rows:
                yield table, (group + 1) / len(self._ranges)

    def _group(self, group: int) -> "pa.Table":
        import pyarrow as pa

        if self._held is None or self._held[0] != group:
            self._held = None
            try:
                table = self._parquet.read_row_group(group, use_threads=False)
            except (pa.ArrowException, OSError) as error:
                raise self._unreadable(error) from error
            self._held = (group, conform(table, self._dataset, origin=self._origin))
        return self._held[1]

    def _range_of(self, group: int) -> tuple[_Range, _Range]:
        """Least and greatest symbol and day of a row group, None where it does not say."""
        columns = self._parquet.metadata.row_group(group)
        ranges: dict[str, _Range] = {}
        for index in range(columns.num_columns):
            column = columns.column(index)
            if column.path_in_schema in ("underlying", "trade_date"):
                statistics = column.statistics
                has_both = statistics is not None and statistics.has_min_max
                ranges[column.path_in_schema] = (statistics.min, statistics.max) if has_both else None
        return ranges.get("underlying"), ranges.get("trade_date")

    def _unreadable(self, error: Exception) -> FileUnreadable:
        return FileUnreadable(f"{self._origin} is no readable Parquet file: {error}", path=self._origin)


def _can_hold(known: _Range, value: object) -> bool:
    return known is None or known[0] <= value <= known[1]


def read_packed(
    port: ObjectStore, parts: Sequence[Located], dataset: Dataset, symbol: str, day: date, slot: int | None = None
) -> "pa.Table":
    """The rows of one symbol-day, all slots or one, in a week's compacted files; sorted as the files are."""
    import pyarrow as pa

    tables = []
    for part in parts:
        if not part.key.endswith(".parquet"):
            continue
        file = port.open(part.stored_at)
        if file is not None:
            with PackedFile(file, dataset, origin=part.key) as packed:
                tables.append(packed.read(symbol, day, slot))
    return pa.concat_tables(tables) if tables else empty_table(dataset)
