"""What this package tells Airflow about itself: the connection type and its form."""

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The answer to Airflow's ``apache_airflow_provider`` entry point."""
    return {
        "package-name": "opt-data",
        "name": "Option chains from Interactive Brokers",
        "description": "Records US option chains from IB Gateway.",
        "connection-types": [
            {
                "connection-type": "ib_gateway",
                "hook-class-name": "opt_data.hooks.ib.IbHook",
                "hook-name": "IB Gateway",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "login", "password", "extra"],
                    "relabeling": {"host": "Host", "port": "API port"},
                    "placeholders": {"host": "127.0.0.1", "port": "4001 (live), 4002 (paper)"},
                },
                "conn-fields": {
                    "client_id_first": {
                        "label": "First client id",
                        "description": "Lowest API client id this installation may use. Others must not use the range.",
                        "schema": {"type": ["integer", "null"], "default": 0, "minimum": 0},
                    },
                    "client_id_count": {
                        "label": "Number of client ids",
                        "description": "How many ids from the first on. IB Gateway serves at most 32 clients.",
                        "schema": {"type": ["integer", "null"], "default": 32, "minimum": 1, "maximum": 200},
                    },
                    "market_data_type": {
                        "label": "Market data type",
                        "description": "1 live, 2 frozen, 3 delayed, 4 delayed frozen. Empty: as configured.",
                        "schema": {"type": ["integer", "null"], "enum": [1, 2, 3, 4, None]},
                    },
                    "read_only": {
                        "label": "Read only",
                        "description": "Always on: this package reads market data and never touches orders.",
                        "schema": {"type": ["boolean", "null"], "default": True},
                    },
                },
            }
        ],
    }
