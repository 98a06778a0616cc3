"""The shared state as a few hundred bytes of JSON. Written and read for every message: lists, no names."""

import json

from opt_data.core.allowance import AllowanceState, Holder

FORMAT = 2
NEVER = float("-inf")


def encode(state: AllowanceState) -> bytes:
    """The state as one line of JSON; an instant that never was is null."""
    holders = {
        name: [
            one.priority, one.seen_at, one.held, one.turn_at,
            _moment(one.asked_at), _moment(one.sent_at), one.wants,
        ]
        for name, one in state.holders.items()
    }  # fmt: skip
    document = [
        FORMAT, _moment(state.next_at), _moment(state.struck_at), state.strikes,
        state.lines_seen, _moment(state.lines_seen_at), state.recent, holders,
    ]  # fmt: skip
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def decode(data: bytes) -> AllowanceState | None:
    """The state, or None if these bytes are not one: cut short, or another version's."""
    try:
        form, next_at, struck_at, strikes, lines_seen, lines_seen_at, recent, holders = json.loads(data)
        if form != FORMAT:
            return None
        return AllowanceState(
            _instant(next_at), _instant(struck_at), float(strikes), [float(moment) for moment in recent],
            int(lines_seen), _instant(lines_seen_at),
            {name: _holder(*parts) for name, parts in holders.items()},
        )  # fmt: skip
    except (ValueError, TypeError, AttributeError):
        return None


def _holder(
    priority: int, seen_at: float, held: dict[str, int], turn_at: float | None,
    asked_at: float | None, sent_at: float | None, wants: dict[str, float],
) -> Holder:  # fmt: skip
    return Holder(priority, seen_at, dict(held), turn_at, _instant(asked_at), _instant(sent_at), dict(wants))


def _moment(value: float) -> float | None:
    return None if value == NEVER else value


def _instant(value: float | None) -> float:
    return NEVER if value is None else float(value)
