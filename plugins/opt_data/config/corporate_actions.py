"""The corporate-action table: a CSV file that people append to. One bad line refuses the whole file.

Columns ``symbol,ex_date,kind,ratio,memo,known_at,entered_by``; empty lines and ``#`` comments are skipped. Lines are
never edited or removed: a correction is a new line with the same symbol and memo and a later ``known_at``, and replaces
the earlier one from then on, so that what was computed before can be computed again. ``withdrawn`` calls a memo off.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path

from opt_data.config.csv_lines import csv_lines, read_csv_text
from opt_data.config.universe import normalise_symbol
from opt_data.core.corporate_actions import ActionKind, CorporateAction
from opt_data.errors import ConfigInvalid

COLUMNS = ("symbol", "ex_date", "kind", "ratio", "memo", "known_at", "entered_by")

_RATIO = re.compile(r"(-?\d{1,6}):(-?\d{1,6})")
_MEMO = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/#-]{0,39}")
_ENTERED_BY = re.compile(r"[\w .@-]{0,40}")
_NEEDS_RATIO = (ActionKind.SPLIT, ActionKind.REVERSE_SPLIT)


def load_corporate_actions(path: Path, *, now: datetime) -> tuple[CorporateAction, ...]:
    """Read and check the table; lines in the order of the file.

    Parameters
    ----------
    path
        The file.
    now
        The current instant, aware: nothing can be known later than this.

    Raises
    ------
    ConfigInvalid
        The file is missing or unreadable, or a line is malformed, has an unknown kind, a ratio that is zero or does not
        fit its kind, a ``known_at`` in the future, or repeats an earlier line; the message names file, line and remedy.
    """
    header = ",".join(COLUMNS)
    text = read_csv_text(path, "corporate-action table", f"create it with the header {header}, or correct the path")
    lines = csv_lines(path, text)
    number, cells = next(lines, (1, []))
    if tuple(cells) != COLUMNS:
        raise ConfigInvalid(f"{path}:{number}: the header must be {header}, not {','.join(cells)!r}")
    actions: list[CorporateAction] = []
    for line, cells in lines:
        place = f"{path}:{line}"
        if len(cells) != len(COLUMNS):
            raise ConfigInvalid(f"{place}: {len(cells)} values under {len(COLUMNS)} columns; write {header}")
        row = dict(zip(COLUMNS, cells, strict=True))
        symbol = normalise_symbol(row["symbol"], place)
        try:
            action = _action(row, symbol, line, now)
            _check_order(action, actions)
        except ValueError as error:
            raise ConfigInvalid(f"{place}: {error}") from None
        actions.append(action)
    return tuple(actions)


def _action(row: Mapping[str, str], symbol: str, line: int, now: datetime) -> CorporateAction:
    kind = _kind(row["kind"])
    new, old = _ratio(row["ratio"], kind)
    if not _MEMO.fullmatch(row["memo"]):
        raise ValueError(
            f"memo {row['memo']!r} does not name a source; write its number, e.g. OCC 47369 "
            "(up to 40 letters, digits, blanks and . _ / # -)"
        )
    if not _ENTERED_BY.fullmatch(row["entered_by"]):
        raise ValueError(f"entered_by {row['entered_by']!r} is not a name; write who entered the line, or nothing")
    return CorporateAction(
        symbol=symbol,
        ex_date=_ex_date(row["ex_date"]),
        kind=kind,
        memo=row["memo"],
        known_at=_known_at(row["known_at"], now),
        ratio_new=new,
        ratio_old=old,
        entered_by=row["entered_by"],
        line=line,
    )


def _check_order(action: CorporateAction, earlier: Sequence[CorporateAction]) -> None:
    """A memo's lines follow each other in time, and no two memos say the same thing."""
    own = [other for other in earlier if other.symbol == action.symbol]
    versions = [other for other in own if other.memo == action.memo]
    if versions and action.known_at <= versions[-1].known_at:
        raise ValueError(
            f"memo {action.memo} of {action.symbol} is already on line {versions[-1].line}; remove this line, or, if "
            "it is a correction, give it the later known_at at which the correction was known"
        )
    if action.kind is ActionKind.WITHDRAWN:
        if not versions:
            raise ValueError(
                f"withdrawn, but no earlier line has memo {action.memo} of {action.symbol}; check the memo"
            )
        return
    latest = {other.memo: other for other in own if other.memo != action.memo}
    for other in latest.values():
        if (other.ex_date, other.kind) == (action.ex_date, action.kind):
            raise ValueError(
                f"{action.symbol} has a {action.kind} on {action.ex_date} already, on line {other.line} from memo "
                f"{other.memo}; remove this line, or call the other memo off with a withdrawn line before it"
            )


def _kind(text: str) -> ActionKind:
    try:
        return ActionKind(text)
    except ValueError:
        near = get_close_matches(text, list(ActionKind), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"kind {text!r} is none of {', '.join(ActionKind)}{hint}") from None


def _ratio(text: str, kind: ActionKind) -> tuple[int, int]:
    if not text:
        if kind in _NEEDS_RATIO:
            raise ValueError(f"ratio is empty; write new:old shares, e.g. 4:1 for a {kind} into four")
        return 0, 0
    if kind is ActionKind.WITHDRAWN:
        raise ValueError(f"ratio {text!r} does not go with withdrawn; leave it empty")
    match = _RATIO.fullmatch(text)
    if not match:
        raise ValueError(f"ratio {text!r} is not new:old shares; write whole numbers, e.g. 4:1, 3:2, 1:10")
    new, old = int(match.group(1)), int(match.group(2))
    if new <= 0 or old <= 0:
        raise ValueError(f"ratio {text} has a number that is not greater than 0; write new:old shares, e.g. 4:1")
    if kind is ActionKind.SPLIT and new <= old:
        raise ValueError(f"ratio {text} gives no more shares than before; write new:old, or kind reverse_split")
    if kind is ActionKind.REVERSE_SPLIT and new >= old:
        raise ValueError(f"ratio {text} gives no fewer shares than before; write new:old (1:10), or kind split")
    return new, old


def _ex_date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"ex_date {text!r} is not a date; write YYYY-MM-DD") from None
    if day.weekday() >= 5:
        raise ValueError(f"ex_date {day} is a {day:%A}; write the first session on the new terms")
    return day


def _known_at(text: str, now: datetime) -> datetime:
    try:
        known_at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"known_at {text!r} is not an instant; write e.g. 2020-07-31T17:00-04:00") from None
    if known_at.tzinfo is None:
        raise ValueError(f"known_at {text!r} has no offset; write e.g. {known_at.isoformat(timespec='minutes')}-04:00")
    if known_at > now:
        raise ValueError(
            f"known_at {text} lies in the future (it is {now.isoformat(timespec='minutes')}); "
            "write when the memo became known, not when it takes effect: that is ex_date"
        )
    return known_at
