"""Answers to requests for bars, sessions and the first date of data."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ibsim.gateway import Gateway
from ibsim.market.bars import BAR_MINUTES, Bar
from ibsim.market.chains import ListedOption
from ibsim.market.hours import NEW_YORK, TradingDay, new_york_date
from ibsim.market.model import Contract
from ibsim.market.noise import hashed_bits
from ibsim.messages.replies import BarRow, HeadTimestampReply, HistoricalDataReply, HistoricalScheduleReply
from ibsim.messages.requests import HeadTimestamp, HistoricalData
from ibsim.serving import contract_text

_SESSIONS_OF_UNIT = {"D": 1, "W": 5, "M": 21, "Y": 252}
_WHAT = frozenset({"TRADES", "BID", "ASK", "MIDPOINT", "BID_ASK", "SCHEDULE"})
_HMDS = "Historical Market Data Service error message:"


class HistoryRefused(Exception):
    """A request that HMDS answers with an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def answer_history(
    gateway: Gateway, request: HistoricalData, contract: Contract
) -> HistoricalDataReply | HistoricalScheduleReply:
    """Bars or sessions for a request.

    Raises
    ------
    HistoryRefused
        With IB's code and text.
    """
    _check(gateway, request, contract)
    now_s = gateway.clock.now_s()
    end_s = min(_end_of(request.end, gateway.scenario.time_zone), now_s) if request.end else now_s
    today = new_york_date(now_s)
    count, unit = _duration_of(request.duration)
    if request.what == "SCHEDULE":
        return _schedule(gateway, request, _sessions_until(gateway, end_s, count * _SESSIONS_OF_UNIT.get(unit, 1)))
    daily = request.bar_size == "1 day"
    minutes = 0 if daily else BAR_MINUTES[request.bar_size]
    if unit == "S":
        wanted = max(1, -(-count // (minutes * 60 or 86400)))
        sessions = _sessions_until(gateway, end_s, 1 + wanted * (minutes or 390) // 200)
    else:
        wanted = 0
        sessions = _sessions_until(gateway, end_s, count * _SESSIONS_OF_UNIT[unit])
    if isinstance(contract, ListedOption):
        sessions = [session for session in sessions if session.open_s < contract.ends_trading_s]
        bars = gateway.bars.intraday(contract, sessions, minutes, request.what, end_s, today)
    elif daily:
        bars = gateway.bars.daily(contract, sessions, request.what, end_s, today)
    else:
        bars = gateway.bars.intraday(contract, sessions, minutes, request.what, end_s, today)
    bars = bars[-wanted:] if wanted else bars
    if not bars:
        name = contract.local_symbol if isinstance(contract, ListedOption) else contract.symbol
        text = f"{_HMDS}HMDS query returned no data: {name}@{request.contract.exchange or 'SMART'} "
        raise HistoryRefused(162, text + request.what.capitalize())
    zone = gateway.scenario.time_zone
    rows = [_row(bar, zone, request.format_date, daily=daily) for bar in bars]
    return HistoricalDataReply(request.req_id, _zoned(bars[0].start_s, zone), _zoned(int(end_s), zone), rows)


def _check(gateway: Gateway, request: HistoricalData, contract: Contract) -> None:
    if request.bar_size != "1 day" and request.bar_size not in BAR_MINUTES:
        legal = ", ".join([*BAR_MINUTES, "1 day"])
        text = "Error validating request.-'bP' : cause - Historical data bar size setting is invalid. Legal ones are: "
        raise HistoryRefused(321, text + legal)
    if request.what not in _WHAT:
        raise HistoryRefused(321, f"Error validating request.-'bP' : cause - Incorrect what to show: {request.what}")
    if request.keep_up_to_date:
        raise HistoryRefused(321, "Error validating request.-'bP' : cause - keepUpToDate is not served here")
    _duration_of(request.duration)
    is_option = isinstance(contract, ListedOption)
    if is_option and request.bar_size == "1 day":
        raise HistoryRefused(
            162,
            f"{_HMDS}No data of type EODChart is available for the exchange 'BEST' and the security type 'Option' "
            f"and '{request.duration.lower()}' and '1 day'",
        )
    if is_option and request.what == "SCHEDULE":
        raise HistoryRefused(162, f"{_HMDS}No historical schedule for {contract_text(contract)}")
    symbol = contract.underlying.symbol if isinstance(contract, ListedOption) else contract.symbol
    if gateway.scenario.entitlements.of(symbol, is_option=is_option) not in {"live", "part", "part_api"}:
        exchange = request.contract.exchange or "SMART"
        raise HistoryRefused(162, f"{_HMDS}No market data permissions for {exchange} {'OPT' if is_option else 'STK'}")


def _duration_of(text: str) -> tuple[int, str]:
    parts = text.split(" ")
    if len(parts) != 2 or not parts[0].isdigit() or parts[1] not in {"S", *_SESSIONS_OF_UNIT}:
        raise HistoryRefused(
            321,
            "Error validating request.-'bP' : cause - Historical data request duration format is incorrect "
            f"({text}); legal is an integer, a space and S, D, W, M or Y",
        )
    return int(parts[0]), parts[1]


def _end_of(text: str, default_zone: str) -> float:
    """``20251124-14:30:00`` (UTC), ``20251124 09:30:00 US/Eastern`` or without a zone (the gateway's)."""
    try:
        if "-" in text.split(" ")[0]:
            return datetime.strptime(text, "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC).timestamp()
        parts = text.split(" ")
        zone = ZoneInfo(parts[2] if len(parts) > 2 else default_zone)
        return datetime.strptime(" ".join(parts[:2]), "%Y%m%d %H:%M:%S").replace(tzinfo=zone).timestamp()
    except (ValueError, KeyError) as error:
        text = f"Error validating request.-'bP' : cause - The date, time, or time-zone entered is invalid: {text}"
        raise HistoryRefused(10314, text) from error


def _sessions_until(gateway: Gateway, end_s: float, count: int) -> list[TradingDay]:
    """The last ``count`` sessions that began before the end, in order."""
    hours = gateway.market.hours
    session = hours.session_on_or_before(new_york_date(end_s))
    if session.open_s >= end_s:
        session = hours.session_before(session.day)
    found = [session]
    while len(found) < count:
        session = hours.session_before(session.day)
        found.append(session)
    return found[::-1]


def _schedule(gateway: Gateway, request: HistoricalData, sessions: list[TradingDay]) -> HistoricalScheduleReply:
    rows = [(_dashed(session.open_s), _dashed(session.close_s), f"{session.day:%Y%m%d}") for session in sessions]
    return HistoricalScheduleReply(request.req_id, rows[0][0], rows[-1][1], gateway.scenario.time_zone, rows)


def _row(bar: Bar, zone: str, format_date: int, *, daily: bool) -> BarRow:
    if daily:
        label = f"{new_york_date(bar.start_s):%Y%m%d}"
    else:
        label = str(bar.start_s) if format_date == 2 else _zoned(bar.start_s, zone)
    return BarRow(label, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.average, bar.count)


def _zoned(instant_s: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(instant_s, ZoneInfo(zone)):%Y%m%d %H:%M:%S} {zone}"


def _dashed(instant_s: int) -> str:
    return f"{datetime.fromtimestamp(instant_s, NEW_YORK):%Y%m%d-%H:%M:%S}"


def answer_head_timestamp(gateway: Gateway, request: HeadTimestamp, contract: Contract) -> HeadTimestampReply:
    """When data of a contract begin: an option's two months before its expiry, a stock's decades ago."""
    hours = gateway.market.hours
    if isinstance(contract, ListedOption):
        listed = contract.expiry.expiration - timedelta(days=120)
        if contract.made_by is not None:
            listed = max(listed, contract.made_by.ex_date - timedelta(days=1))
        first = hours.session_after(listed).open_s
    else:
        year = 1980 + hashed_bits("head", contract.symbol) % 30
        first = int(datetime(year, 1, 2, 14, 30, tzinfo=UTC).timestamp())
    if request.format_date == 2:
        return HeadTimestampReply(request.req_id, str(first))
    return HeadTimestampReply(request.req_id, f"{datetime.fromtimestamp(first, UTC):%Y%m%d-%H:%M:%S}")
