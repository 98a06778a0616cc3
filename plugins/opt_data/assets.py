"""What the DAGs produce, as Airflow assets: for lineage, and for DAGs of others that wait for our data."""

from airflow.sdk import Asset

CONTRACTS_CACHE = Asset(name="opt_data_contracts_cache", uri="opt-data://state/contracts_cache", group="opt_data")
CLEAN_INTRADAY = Asset(name="opt_data_clean_intraday", uri="opt-data://data/clean/chain/intraday", group="opt_data")
CLEAN_CLOSE = Asset(name="opt_data_clean_close", uri="opt-data://data/clean/chain/close", group="opt_data")
DAILY_CLEAN = Asset(name="opt_data_daily_clean", uri="opt-data://data/clean/chain/daily_clean", group="opt_data")
DAILY_ADJUSTED = Asset(
    name="opt_data_daily_adjusted", uri="opt-data://data/clean/chain/daily_adjusted", group="opt_data"
)
SLOT_LEDGER = Asset(name="opt_data_slot_ledger", uri="opt-data://data/ledger", group="opt_data")
OPEN_INTEREST = Asset(name="opt_data_open_interest", uri="opt-data://data/clean/chain/enrichment", group="opt_data")
