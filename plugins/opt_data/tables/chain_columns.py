"""The columns of an option-chain row, in the order in which they are stored."""

from opt_data.core.outcomes import ErrorType
from opt_data.core.slots import CaptureMode
from opt_data.tables.column import Column, ColumnType, Group, Sign

_PER_SHARE = "USD per share"
_CONTRACTS = "contracts"
_NONE_SENT = frozenset({-1.0, -2.0})
_GREEK_NONE_SENT = frozenset({-2.0})
"""-1 is a possible delta and theta; IB's word for "not computed" is -2 there."""


def _identity(
    name: str, kind: ColumnType, sentence: str, unit: str = "", sign: Sign = Sign.NOT_A_NUMBER,
    choices: tuple[str, ...] = (),
) -> Column:  # fmt: skip
    return Column(name, kind, Group.IDENTITY, sentence, unit, sign, is_nullable=False, choices=choices)


def _number(
    group: Group, name: str, unit: str, sentence: str, sign: Sign = Sign.NON_NEGATIVE, kind: ColumnType | None = None
) -> Column:
    sentinels = _GREEK_NONE_SENT if sign is Sign.ANY else _NONE_SENT
    return Column(name, kind or ColumnType.FLOAT64, group, sentence, unit, sign, sentinels=sentinels)


def _quote(name: str, unit: str, sentence: str, sign: Sign = Sign.NON_NEGATIVE) -> Column:
    return _number(Group.QUOTE, name, unit, sentence, sign)


def _model(name: str, unit: str, sentence: str, sign: Sign = Sign.NON_NEGATIVE) -> Column:
    return _number(Group.MODEL, name, unit, sentence, sign)


def _underlying(name: str, unit: str, sentence: str) -> Column:
    return _number(Group.UNDERLYING, name, unit, sentence)


def _capture(
    name: str, kind: ColumnType, sentence: str, unit: str = "", sign: Sign = Sign.NOT_A_NUMBER,
    is_nullable: bool = False, choices: tuple[str, ...] = (), sentinels: frozenset[float] = frozenset(),
) -> Column:  # fmt: skip
    return Column(name, kind, Group.CAPTURE, sentence, unit, sign, is_nullable, choices, sentinels)


IDENTITY = (
    _identity("trade_date", ColumnType.DATE, "The session, as a New York day."),
    _identity("underlying", ColumnType.STRING, "IB's symbol of the underlying, e.g. `AAPL`, `SPX`, `BRK B`."),
    _identity("und_conid", ColumnType.INT64, "IB's contract id of the underlying.", sign=Sign.POSITIVE),
    _identity("conid", ColumnType.INT64, "IB's contract id of the option; never reused by IB.", sign=Sign.POSITIVE),
    _identity("symbol", ColumnType.STRING, "OSI name, 21 characters: class, expiry, right, strike times 1000."),
    _identity("expiry", ColumnType.DATE, "Last trading day of the option."),
    _identity("right", ColumnType.STRING, "`C` call, `P` put.", choices=("C", "P")),
    _identity("strike", ColumnType.FLOAT64, "Strike price.", _PER_SHARE, Sign.POSITIVE),
    _identity(
        "multiplier", ColumnType.INT32, "How many shares (or index units) one contract stands for.",
        "shares per contract", Sign.POSITIVE,
    ),
    _identity(
        "exchange", ColumnType.STRING,
        "Route of the day's contract set, and the partition; see `quote_exchange` for where the quote came from.",
    ),
    _identity("trading_class", ColumnType.STRING, "Class the option trades under, e.g. `SPX` (AM) or `SPXW` (PM)."),
    _identity("currency", ColumnType.STRING, "Currency of every price in the row."),
)  # fmt: skip

QUOTE = (
    Column(
        "quote_exchange", ColumnType.STRING, Group.QUOTE,
        "Exchange this request was sent to; differs from `exchange` where a fallback exchange answered.",
    ),
    _quote("bid", _PER_SHARE, "Best bid; null when nobody bids."),
    _quote("ask", _PER_SHARE, "Best offer; null when nobody offers."),
    _quote("last", _PER_SHARE, "Last trade of the session; null before the first."),
    _quote("bid_size", _CONTRACTS, "Size at the bid."),
    _quote("ask_size", _CONTRACTS, "Size at the offer."),
    _quote("last_size", _CONTRACTS, "Size of the last trade."),
    _quote("mid", _PER_SHARE, "(bid + ask) / 2, only where 0 < bid ≤ ask."),
    _number(Group.QUOTE, "volume", _CONTRACTS, "Traded so far in the session.", kind=ColumnType.INT64),
    _quote("vwap", _PER_SHARE, "Volume-weighted average price of the session so far."),
    _quote("prev_close", _PER_SHARE, "Close of the session before."),
    _quote("day_open", _PER_SHARE, "First trade of the session."),
    _quote("day_high", _PER_SHARE, "Highest trade of the session so far."),
    _quote("day_low", _PER_SHARE, "Lowest trade of the session so far."),
    _quote("mark_price", _PER_SHARE, "IB's mark price of the option."),
    Column(
        "last_trade_time", ColumnType.TIMESTAMP, Group.QUOTE, "When the last trade happened, as the exchange says.",
        "UTC",
    ),
    _number(
        Group.QUOTE, "halted", "", "0 trading, 1 halted for regulation, 2 halted for volatility; null when unknown.",
        kind=ColumnType.INT8,
    ),
)  # fmt: skip

MODEL = (
    _model("iv", "fraction per year", "Implied volatility of IB's model; 0.25 is 25 %."),
    _model("delta", "USD per USD", "Change of the price per dollar of the underlying; -1 … 1.", Sign.ANY),
    _model("gamma", "1 per USD", "Change of delta per dollar of the underlying."),
    _model("theta", "USD per share and day", "Change of the price per calendar day; negative for most.", Sign.ANY),
    _model("vega", "USD per share and percentage point", "Change of the price when volatility rises by 0.01."),
    _model("opt_price", _PER_SHARE, "The model's price of the option."),
    _model("pv_dividend", _PER_SHARE, "Present value of the dividends the model expects until expiry."),
    _model("und_price_model", _PER_SHARE, "Price of the underlying that the model used; not a quote."),
    _model("bid_iv", "fraction per year", "Implied volatility at the bid."),
    _model("ask_iv", "fraction per year", "Implied volatility at the offer."),
    _model("hist_volatility", "fraction per year", "IB's 30-day historical volatility, where it serves one."),
    Column(
        "greeks_source", ColumnType.STRING, Group.MODEL,
        "Where `iv` and the greeks come from: `ib_model`; null when there are none. Rho does not exist at IB.",
    ),
)  # fmt: skip

UNDERLYING = (
    _underlying("und_bid", _PER_SHARE, "Bid of the underlying when the option was sampled."),
    _underlying("und_ask", _PER_SHARE, "Offer of the underlying when the option was sampled."),
    _underlying("und_last", _PER_SHARE, "Last trade of the underlying; for an index its value."),
    Column(
        "und_asof_ts", ColumnType.TIMESTAMP, Group.UNDERLYING, "When the underlying's values were last received.", "UTC"
    ),
    _underlying("reference_price", _PER_SHARE, "Price around which the day's contract set was chosen."),
)

CAPTURE = (
    _capture("sample_time", ColumnType.TIMESTAMP, "The slot's instant, not the time of sampling.", "UTC"),
    _capture("sample_time_et", ColumnType.STRING, "The same in New York, ISO 8601 with offset.", "America/New_York"),
    _capture("slot_30m", ColumnType.INT8, "Slot of the session: 0 is the open, the last is the close.",
             sign=Sign.NON_NEGATIVE),
    _capture("first_seen_slot", ColumnType.INT8, "Slot from which the contract belongs to the day's set.",
             sign=Sign.NON_NEGATIVE),
    _capture("asof_ts", ColumnType.TIMESTAMP, "When the row was really sampled; null if it never was.", "UTC",
             is_nullable=True),
    _capture("lag_s", ColumnType.FLOAT64, "`asof_ts` minus `sample_time`.", "seconds", Sign.NON_NEGATIVE,
             is_nullable=True),
    _capture("capture_mode", ColumnType.STRING,
             "How far the row shows its slot's instant; null in a row without a quote.",
             is_nullable=True, choices=tuple(CaptureMode)),
    _capture("attempt", ColumnType.INT16, "Number of the attempt the row comes from.", sign=Sign.NON_NEGATIVE),
    _capture("market_data_type", ColumnType.INT8,
             "What the gateway said it served: 1 live, 2 frozen, 3 delayed, 4 delayed frozen; null until it says so.",
             is_nullable=True, sign=Sign.POSITIVE, sentinels=_NONE_SENT),
    _capture("market_data_type_requested", ColumnType.INT8, "What was asked for, same numbers.",
             is_nullable=True, sign=Sign.POSITIVE, sentinels=_NONE_SENT),
    _capture("delayed_quote_age_s", ColumnType.FLOAT64, "Nominal age of a delayed quote.", "seconds",
             Sign.NON_NEGATIVE, is_nullable=True, sentinels=_NONE_SENT),
    _capture("snapshot_error", ColumnType.BOOL,
             "True: the row has no quote and says why; its prices are null and must never be used as prices."),
    _capture("error_type", ColumnType.STRING, "Why there is no quote; null in a row with one.",
             is_nullable=True, choices=tuple(ErrorType)),
    _capture("error_message", ColumnType.STRING, "The same in words.", is_nullable=True),
    _capture("ib_error_code", ColumnType.INT32, "IB's message code, where IB gave one.", is_nullable=True),
    _capture("data_quality_flag", ColumnType.STRING_LIST, "Flags, see below; empty when there is nothing to say."),
    _capture("source", ColumnType.STRING, "Who served the data.", choices=("IBKR",)),
    _capture("ingest_id", ColumnType.STRING, "The attempt's own id; also in its raw file's name."),
    _capture("ingest_run_type", ColumnType.STRING, "Which kind of run wrote the row.",
             choices=("intraday", "close", "eod_rollup", "enrichment", "rebuild")),
    _capture("dag_run_id", ColumnType.STRING, "Airflow's run, or what a manual run called itself.", is_nullable=True),
    _capture("known_at", ColumnType.TIMESTAMP,
             "When the row's attempt was committed: a reader could not know it earlier. Rebuilding never changes it.",
             "UTC"),
    _capture("schema_version", ColumnType.INT16, "Version of this list of columns.", sign=Sign.POSITIVE),
)  # fmt: skip


def _calculated(name: str, unit: str, sentence: str, sign: Sign = Sign.ANY) -> Column:
    return Column(name, ColumnType.FLOAT64, Group.CALCULATED, sentence, unit, sign)


CALCULATED = (
    _calculated(
        "calc_iv", "fraction per year",
        "Implied volatility of `mid` at `und_last`; null where no volatility gives that price.", Sign.NON_NEGATIVE,
    ),
    _calculated("calc_delta", "USD per USD", "As `delta`, at `calc_iv`."),
    _calculated("calc_gamma", "1 per USD", "As `gamma`, at `calc_iv`.", Sign.NON_NEGATIVE),
    _calculated("calc_vega", "USD per share and percentage point", "As `vega`, at `calc_iv`."),
    _calculated("calc_theta", "USD per share and day", "As `theta`, at `calc_iv`."),
    _calculated(
        "calc_rho", "USD per share and percentage point", "Change of the price when the interest rate rises by 0.01."
    ),
    _calculated(
        "calc_rate", "fraction per year",
        "Interest rate the calculation used, continuously compounded; dividends are taken as none.",
    ),
    Column(
        "calc_model", ColumnType.STRING, Group.CALCULATED,
        "How it was calculated: index options can be exercised at expiry only, all others at any time.",
        choices=("black_scholes_european", "black_scholes_american"),
    ),
)  # fmt: skip

CHAIN_COLUMNS = IDENTITY + QUOTE + MODEL + UNDERLYING + CAPTURE + CALCULATED
"""Identity, quote, model, underlying, capture, calculated: one row is one contract at one slot."""

_MAY_EXPLAIN_ABSENCE = frozenset({"quote_exchange", "halted", "prev_close"})

QUOTE_VALUES = tuple(column.name for column in QUOTE + MODEL + CALCULATED if column.name not in _MAY_EXPLAIN_ABSENCE)
"""What belongs to a quote: all null in a row without one, whatever had arrived. Yesterday's close and the halt status
may stay: they are no quote of the slot and can say why there is none."""

PRICES = ("bid", "ask", "last")
"""A row is a quote if it has at least one of these."""
