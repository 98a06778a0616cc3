"""The column tables against the design's own list of names."""

from opt_data.core.outcomes import ErrorType, sentence_of, standing_of
from opt_data.core.quotes import Quote
from opt_data.tables.adjusted_columns import ADJUSTED_COLUMNS
from opt_data.tables.chain_columns import CHAIN_COLUMNS, IDENTITY, PRICES, QUOTE_VALUES
from opt_data.tables.column import ColumnType, Sign
from opt_data.tables.daily_columns import DAILY_COLUMNS
from opt_data.tables.datasets import DAILY_CLEAN, DATASETS, RAW_CHAIN_INTRADAY, SLOT_LEDGER
from opt_data.tables.open_interest_columns import OPEN_INTEREST_COLUMNS

# design page, section 6, "Columns"; in its order and its groups
IDENTITY_NAMES = (
    "trade_date underlying und_conid conid symbol expiry right strike multiplier exchange trading_class currency"
)
QUOTE_NAMES = (
    "bid ask last bid_size ask_size last_size mid volume vwap prev_close day_open day_high day_low mark_price "
    "last_trade_time halted"
)
MODEL_NAMES = (
    "iv delta gamma theta vega opt_price pv_dividend und_price_model bid_iv ask_iv hist_volatility greeks_source"
)
UNDERLYING_NAMES = "und_bid und_ask und_last und_asof_ts reference_price"
CAPTURE_NAMES = (
    "sample_time sample_time_et slot_30m first_seen_slot asof_ts lag_s capture_mode attempt market_data_type "
    "market_data_type_requested delayed_quote_age_s snapshot_error error_type error_message ib_error_code "
    "data_quality_flag source ingest_id ingest_run_type dag_run_id known_at schema_version"
)
# of rebuilt rows; rho exists nowhere else
CALCULATED_NAMES = "calc_iv calc_delta calc_gamma calc_vega calc_theta calc_rho calc_rate calc_model"


def test_the_chain_has_the_designs_columns_in_order_and_the_exchange_of_the_quote() -> None:
    groups = (
        IDENTITY_NAMES, "quote_exchange", QUOTE_NAMES, MODEL_NAMES, UNDERLYING_NAMES, CAPTURE_NAMES, CALCULATED_NAMES,
    )  # fmt: skip
    assert [column.name for column in CHAIN_COLUMNS] == " ".join(groups).split()


OI_NAMES = "open_interest oi_asof_date oi_observed_at"
DAY_NAMES = (
    "rollup_source_time rollup_source_slot rollup_strategy underlying_close moneyness_pct strike_per_100 "
    "slots_expected slots_on_time slots_late slots_rebuilt slots_missing"
)


def test_the_day_has_the_chains_columns_then_open_interest_then_its_own() -> None:
    chain = [column.name for column in CHAIN_COLUMNS]
    assert [column.name for column in DAILY_COLUMNS] == [*chain, *OI_NAMES.split(), *DAY_NAMES.split()]
    assert all(DAILY_CLEAN.column(name).is_nullable for name in (*QUOTE_VALUES, *OI_NAMES.split()))


ADJUSTED_NAMES = (
    "split_factor strike_adj bid_adj ask_adj mid_adj last_adj underlying_close_adj moneyness_pct_adj volume_adj "
    "open_interest_adj gamma_adj vega_adj theta_adj adj_method factor_asof"
)


def test_the_adjusted_day_has_the_days_columns_then_its_own_and_a_link_to_the_actions() -> None:
    daily = [column.name for column in DAILY_COLUMNS]
    assert [column.name for column in ADJUSTED_COLUMNS] == [*daily, *ADJUSTED_NAMES.split(), "corporate_actions"]


def test_an_adjusted_value_has_the_unit_of_the_value() -> None:
    for column in ADJUSTED_COLUMNS:
        if column.name.endswith("_adj"):
            plain = DAILY_CLEAN.column(column.name.removesuffix("_adj"))
            assert (column.type, column.unit, column.is_nullable) == (plain.type, plain.unit, plain.is_nullable)


def test_later_columns_are_not_promised_yet() -> None:
    names = {column.name for dataset in DATASETS for column in dataset.columns}
    assert not names & {"rho", "derived_mid_high"}


def test_every_column_has_a_sentence_and_every_measure_a_unit_or_a_sign() -> None:
    for dataset in DATASETS:
        for column in dataset.columns:
            assert column.sentence.endswith("."), column.name
            if column.type is ColumnType.FLOAT64:
                assert column.unit, column.name
                assert column.sign is not Sign.NOT_A_NUMBER, column.name


def test_names_are_unique_and_keys_partitions_and_order_name_real_columns() -> None:
    for dataset in DATASETS:
        names = [column.name for column in dataset.columns]
        assert len(set(names)) == len(names)
        for name in (*dataset.primary_key, *dataset.sort_order):
            assert name in names
        for name in dataset.primary_key:
            assert not dataset.column(name).is_nullable
        for name in dataset.partitions:
            assert f"{name}=" in dataset.path


def test_identity_is_never_null_and_quotes_always_may_be() -> None:
    assert not any(column.is_nullable for column in IDENTITY)
    assert all(RAW_CHAIN_INTRADAY.column(name).is_nullable for name in QUOTE_VALUES)
    assert set(PRICES) < set(QUOTE_VALUES)
    assert not {"prev_close", "halted", "quote_exchange"} & set(QUOTE_VALUES)


def test_every_value_the_gateway_records_has_a_column() -> None:
    about_the_request = {"has_delayed_ticks", "first_tick_at", "last_tick_at"}
    names = {column.name for column in CHAIN_COLUMNS + OPEN_INTEREST_COLUMNS}
    assert set(Quote().as_dict()) - about_the_request <= names


def test_a_columns_values_can_be_negative_only_where_the_sentinel_is_not_minus_one() -> None:
    delta, bid = RAW_CHAIN_INTRADAY.column("delta"), RAW_CHAIN_INTRADAY.column("bid")
    assert delta.sentinels == {-2.0}
    assert bid.sentinels == {-1.0, -2.0}


def test_the_ledger_counts_what_must_add_up() -> None:
    names = {column.name for column in SLOT_LEDGER.columns}
    assert {"expected", "on_time", "late", "rebuilt", "missing", "error"} <= names


def test_every_reason_is_explained_and_counted_as_missing_or_error() -> None:
    missing = {kind for kind in ErrorType if standing_of(kind) == "missing"}
    assert missing == {"no_quote", "timed_out", "out_of_time", "not_asked", "expired", "no_bars"}
    assert all(sentence_of(kind) for kind in ErrorType)
