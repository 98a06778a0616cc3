"""What a client of the simulated gateway knows from the ticks in its journal, in our columns."""

from datetime import UTC, datetime

# What ibsim calls a tick -> our column, and what IB's sentinels mean
PRICE_TICKS = {
    "bid": "bid", "ask": "ask", "last": "last", "day_high": "day_high", "day_low": "day_low",
    "prev_close": "prev_close", "day_open": "day_open", "mark": "mark_price",
}  # fmt: skip
MODEL_VALUES = {
    "iv": "iv", "delta": "delta", "gamma": "gamma", "vega": "vega", "theta": "theta", "price": "opt_price",
    "pv_dividend": "pv_dividend", "und_price": "und_price_model",
}  # fmt: skip
GREEKS = {"delta", "gamma", "vega", "theta"}


def read_tick(tick):
    """One tick of the gateway's journal, as our columns; None for what IB's sentinels say is not there."""
    name = tick["name"]
    if name in PRICE_TICKS:
        return {PRICE_TICKS[name]: tick["price"] if 0 < tick["price"] < 1e300 else None}
    if name in ("bid_size", "ask_size", "last_size", "volume"):
        return {name: tick["size"]}
    if name in ("halted", "hist_volatility"):
        return {name: tick["value"]}
    if name == "model":
        unset = {theirs: -2.0 if theirs in GREEKS else -1.0 for theirs in MODEL_VALUES}
        return {ours: None if tick[theirs] == unset[theirs] else tick[theirs] for theirs, ours in MODEL_VALUES.items()}
    if name in ("bid_model", "ask_model"):
        return {name.replace("model", "iv"): tick["iv"] if tick["iv"] > 0 else None}
    if name == "rt_volume":
        _, _, at_ms, _, vwap, _ = tick["value"].split(";")
        return {"vwap": float(vwap), "last_trade_time": int(at_ms) / 1000}
    return {"last_trade_time": float(tick["value"])} if name == "last_timestamp" else {}


def told(ticks):
    """What a reader of the gateway's own journal knows after these ticks, by column."""
    known: dict[str, object] = {}
    traded_at = 0.0
    for tick in ticks:
        values = read_tick(tick)
        traded_at = max(traded_at, values.pop("last_trade_time", 0.0))
        known |= values
    known["last_trade_time"] = datetime.fromtimestamp(traded_at, UTC) if traded_at else None
    for side in ("bid", "ask"):
        if known.get(side) is None:
            known[f"{side}_size"] = None
    return known
