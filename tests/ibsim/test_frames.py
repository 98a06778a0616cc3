"""Recorded messages: what is written must equal them byte for byte, what is read must come out as its fields."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibsim import wire
from ibsim.messages import replies, requests
from ibsim.messages.requests import ContractQuery, parse_request
from ibsim.messages.ticks import TickComputation, TickGeneric, TickPrice, TickSize, TickString
from tests.ibsim import golden

NO_DEFINITION = "No security definition has been found for the request"
EOD_TEXT = (
    "Historical Market Data Service error message:No data of type EODChart is available for the exchange 'BEST' and "
    "the security type 'Option' and '1 d' and '1 day'"
)
IN_USE = "Unable to connect as the client id is already in use. Retry with a unique client id."

WRITTEN = {
    "handshake answer": replies.Handshake(176, "20251124 09:25:00 EST"),
    "managed accounts": replies.ManagedAccountsReply("DU1234567"),
    "next valid id": replies.NextValidId(1),
    "farm notice": replies.ErrorMessage(-1, 2104, "Market data farm connection is OK:usfarm"),
    "client id in use": replies.ErrorMessage(-1, 326, IN_USE),
    "current time": replies.CurrentTimeReply(1763994300),
    "no definition": replies.ErrorMessage(5, 200, NO_DEFINITION),
    "contract details end": replies.End("contract_details", 5),
    "option parameters": replies.OptionParametersReply(
        6, "SMART", 265598, "AAPL", 100, [date(2025, 11, 28), date(2025, 12, 19)], [265.0, 270.0, 272.5]
    ),
    "option parameters end": replies.End("option_parameters", 6),
    "cannot find the ticker": replies.ErrorMessage(8, 300, "Can't find EId with tickerId:8"),
    "tick request parameters": replies.TickReqParams(8, 0.01, "9c0001", 3),
    "market data type": replies.MarketDataTypeReply(8, 1),
    "tick price": TickPrice(8, 1, 9.15, 6),
    "tick price absent": TickPrice(8, 1, -1.0, 0),
    "tick size": TickSize(8, 28, 1111),
    "tick generic": TickGeneric(8, 49, 0.0),
    "tick string": TickString(8, 45, "1763996400"),
    "tick option computation": TickComputation(
        8, 13, 0.264965, -0.42838, 9.274688, 0.0, 0.014176, 0.410131, -0.102038, 273.5726
    ),
    "tick option computation absent": TickComputation(8, 12, -1.0, -2.0, -1.0, -1.0, -2.0, -2.0, -2.0, -1.0),
    "snapshot end": replies.End("snapshot", 8),
    "historical data": replies.HistoricalDataReply(
        9,
        "20251124 09:58:00 US/Eastern",
        "20251124 10:00:00 US/Eastern",
        [
            replies.BarRow("1763996280", 10.35, 10.4, 10.35, 10.38, -1, -1.0, -1),
            replies.BarRow("1763996340", 10.38, 10.39, 10.36, 10.38, -1, -1.0, -1),
        ],
    ),
    "end of day bars of options": replies.ErrorMessage(9, 162, EOD_TEXT),
    "head timestamp": replies.HeadTimestampReply(10, "345479400"),
}
APPLE_CALL = ContractQuery(
    symbol="AAPL", sec_type="OPT", last_trade="20260116", strike=270.0, right="C", exchange="SMART", currency="USD",
    trading_class="AAPL",
)  # fmt: skip
BY_CONID = ContractQuery(conid=17576023, exchange="SMART")
READ = {
    "start api": requests.StartApi(7),
    "current time request": requests.CurrentTime(),
    "contract details request": requests.ContractDetails(5, APPLE_CALL, include_expired=False),
    "option parameters request": requests.OptionParameters(6, "AAPL", "", "STK", 265598),
    "market data request": requests.MarketData(8, BY_CONID, "100,101", snapshot=False, regulatory_snapshot=False),
    "market data request of ibapi": requests.MarketData(
        8,
        ContractQuery(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD"),
        "",
        snapshot=True,
        regulatory_snapshot=False,
    ),
    "cancel market data": requests.CancelMarketData(8),
    "historical data request": requests.HistoricalData(
        9, BY_CONID, False, "20251124-15:00:00", "1 min", "120 S", True, "BID", 2, False
    ),
    "head timestamp request": requests.HeadTimestamp(
        10, ContractQuery(conid=265598, exchange="SMART"), False, True, "TRADES", 2
    ),
}


def test_every_recorded_message_is_used():
    assert set(WRITTEN) == set(golden.names("server"))
    assert set(READ) == set(golden.names("client"))


@pytest.mark.parametrize("name", WRITTEN)
def test_written_messages_equal_the_recorded_bytes(name):
    assert WRITTEN[name].encode() == golden.frame_bytes(name)


@pytest.mark.parametrize("name", READ)
def test_read_messages_come_out_as_their_fields(name):
    assert parse_request(golden.field_list(name)) == READ[name]


@given(st.lists(st.integers(1, 60), max_size=30))
def test_frames_survive_any_cutting_of_the_stream(cuts):
    names = golden.names("client")
    stream = golden.opening_bytes() + b"".join(golden.frame_bytes(name) for name in names)
    splitter, payloads = wire.FrameSplitter(), []
    for length in [*cuts, len(stream)]:
        piece, stream = stream[:length], stream[length:]
        payloads += splitter.feed(piece)
    assert payloads[0] == b"v157..176"
    assert [wire.split_fields(p) for p in payloads[1:]] == [golden.field_list(name) for name in names]


def test_pacing_option_follows_the_version_range():
    assert wire.FrameSplitter().feed(golden.opening_bytes(paced=True)) == [b"v157..176 +PACEAPI"]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"API\0\xff\xff\xff\xff"])
def test_other_protocols_are_refused(data):
    with pytest.raises(wire.ProtocolError):
        wire.FrameSplitter().feed(data)


@pytest.mark.parametrize("fields", [["1", "11", "8"], ["2", "2", "eight"], ["x"]])
def test_broken_messages_are_refused(fields):
    with pytest.raises(wire.ProtocolError):
        parse_request(fields)


def test_a_message_nobody_knows_keeps_its_number():
    assert parse_request(["4711", "1", "9"]) == requests.Unsupported(4711, 9)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "1"),
        (False, "0"),
        (0.1, "0.1"),
        (5.0, "5"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
    ],
)
def test_fields_are_written_as_ib_does(value, text):
    assert wire.format_field(value) == text


def test_text_beyond_ascii_is_escaped():
    assert wire.escape_text("Nestlé") == "Nestl\\u00e9"
