"""US option chains from Interactive Brokers, recorded on a schedule into Parquet."""
