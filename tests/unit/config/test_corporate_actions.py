"""The corporate-action table: what is accepted, and the place and remedy in every refusal."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from opt_data.config.corporate_actions import load_corporate_actions
from opt_data.config.load import load_settings
from opt_data.core.corporate_actions import ActionKind, CorporateAction
from opt_data.errors import ConfigInvalid

NOW = datetime(2020, 9, 1, 12, 0, tzinfo=UTC)
HEADER = "symbol,ex_date,kind,ratio,memo,known_at,entered_by\n"
GOOD = "AAPL,2020-08-31,split,4:1,OCC 47369,2020-07-31T17:00-04:00,jd\n"


def read(tmp_path: Path, text: str) -> tuple[CorporateAction, ...]:
    path = tmp_path / "actions.csv"
    path.write_text(text, encoding="utf-8")
    return load_corporate_actions(path, now=NOW)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        read(tmp_path, text)
    return str(caught.value).replace(str(tmp_path), "")


def test_a_line_says_what_a_memo_says(tmp_path: Path) -> None:
    text = "# splits\n" + HEADER + "\n" + GOOD + "brk.b,2020-08-31,merger,,OCC 1,2020-08-01T09:00+00:00,\n"
    first, second = read(tmp_path, text)
    assert first == CorporateAction(
        "AAPL",
        date(2020, 8, 31),
        ActionKind.SPLIT,
        "OCC 47369",
        datetime(2020, 7, 31, 21, 0, tzinfo=UTC),
        4,
        1,
        "jd",
        4,
    )
    assert first.split_factor == 4
    assert (second.symbol, second.kind, second.ratio_new, second.entered_by) == ("BRK B", ActionKind.MERGER, 0, "")


def test_a_table_without_actions_is_fine(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER) == ()


def test_the_shipped_table_is_valid() -> None:
    settings = load_settings(environ={})
    assert load_corporate_actions(settings.corporate_actions.table_file, now=datetime.now(UTC)) == ()


def test_the_example_in_the_shipped_file_is_valid(tmp_path: Path) -> None:
    shipped = load_settings(environ={}).corporate_actions.table_file.read_text(encoding="utf-8")
    (example,) = [line for line in shipped.splitlines() if line.startswith("#   AAPL,")]
    (action,) = read(tmp_path, HEADER + example.lstrip("# ") + "\n")
    assert (action.symbol, action.split_factor, action.memo) == ("AAPL", 4, "OCC 47369")


@pytest.mark.parametrize("kind", ["merger", "spin_off", "special_cash", "other"])
def test_only_splits_need_a_ratio(tmp_path: Path, kind: str) -> None:
    (action,) = read(tmp_path, HEADER + f"T,2020-08-31,{kind},,OCC 1,2020-07-31T17:00-04:00,\n")
    assert action.split_factor is None


def test_a_correction_and_a_withdrawal_are_later_lines_of_the_same_memo(tmp_path: Path) -> None:
    corrected = GOOD.replace("4:1", "5:1").replace("07-31T", "08-03T")
    off = "AAPL,2020-08-31,withdrawn,,OCC 47369,2020-08-10T09:00-04:00,jd\n"
    replaced = GOOD.replace("47369", "47400").replace("07-31T", "08-11T")
    assert [one.kind for one in read(tmp_path, HEADER + GOOD + corrected + off + replaced)] == [
        "split", "split", "withdrawn", "split",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (GOOD.replace("2020-07-31T17", "2020-09-02T17"), ":2: known_at 2020-09-02T17:00-04:00 lies in the future"),
        (GOOD.replace("4:1", "0:1"), ":2: ratio 0:1 has a number that is not greater than 0; write new:old"),
        (GOOD.replace("4:1", "4:0"), ":2: ratio 4:0 has a number that is not greater than 0"),
        (GOOD.replace("4:1", "-4:1"), ":2: ratio -4:1 has a number that is not greater than 0"),
        (GOOD.replace("split,4:1", "merger,0:1"), ":2: ratio 0:1 has a number that is not greater than 0"),
        (GOOD.replace("4:1", ""), ":2: ratio is empty; write new:old shares, e.g. 4:1"),
        (GOOD.replace("4:1", "4"), ":2: ratio '4' is not new:old shares"),
        (GOOD.replace("4:1", "1.5:1"), ":2: ratio '1.5:1' is not new:old shares"),
        (GOOD.replace("4:1", "1:4"), ":2: ratio 1:4 gives no more shares than before; write new:old, or kind reverse"),
        (GOOD.replace("4:1", "1:1"), ":2: ratio 1:1 gives no more shares than before"),
        (GOOD.replace("split,", "reverse_split,"), ":2: ratio 4:1 gives no fewer shares than before"),
        (GOOD.replace("split", "spilt"), ":2: kind 'spilt' is none of split, reverse_split, merger, spin_off, "
         "special_cash, other, withdrawn; did you mean split?"),
        (GOOD.replace("2020-08-31", "2020-08-30"), ":2: ex_date 2020-08-30 is a Sunday; write the first session"),
        (GOOD.replace("2020-08-31", "31.8.2020"), ":2: ex_date '31.8.2020' is not a date; write YYYY-MM-DD"),
        (GOOD.replace("2020-07-31T17:00-04:00", "2020-07-31T17:00"), ":2: known_at '2020-07-31T17:00' has no offset"),
        (GOOD.replace("2020-07-31T17:00-04:00", "July"), ":2: known_at 'July' is not an instant"),
        (GOOD.replace("OCC 47369", ""), ":2: memo '' does not name a source; write its number, e.g. OCC 47369"),
        (GOOD.replace(",jd", ",<jd>"), ":2: entered_by '<jd>' is not a name"),
        (GOOD.replace("AAPL", "../x"), ":2: '../x' is not a symbol"),
        (GOOD.replace(",jd", ""), ":2: 6 values under 7 columns"),
        (GOOD.replace("jd", '"jd'), ":2: malformed CSV"),
        (GOOD + GOOD, ":3: memo OCC 47369 of AAPL is already on line 2; remove this line, or, if it is a correction"),
        (GOOD + GOOD.replace("07-31T", "07-30T"), ":3: memo OCC 47369 of AAPL is already on line 2"),
        (GOOD + GOOD.replace("47369", "47370"), ":3: AAPL has a split on 2020-08-31 already, on line 2 from memo OCC"),
        ("AAPL,2020-08-31,withdrawn,,OCC 9,2020-07-31T17:00-04:00,\n", ":2: withdrawn, but no earlier line has memo"),
        (GOOD + "AAPL,2020-08-31,withdrawn,4:1,OCC 47369,2020-08-31T17:00-04:00,\n", ":3: ratio '4:1' does not go"),
    ],
)  # fmt: skip
def test_bad_lines_are_refused_with_place_and_remedy(tmp_path: Path, lines: str, complaint: str) -> None:
    assert f"/actions.csv{complaint}" in refusal(tmp_path, HEADER + lines)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "/actions.csv:1: the header must be symbol,ex_date,kind,ratio,memo,known_at,entered_by"),
        (HEADER.replace("memo,", "") + GOOD, "/actions.csv:1: the header must be"),
        (GOOD, "/actions.csv:1: the header must be"),
    ],
)
def test_bad_headers_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    assert complaint in refusal(tmp_path, text)


def test_a_missing_table_is_told_from_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"corporate-action table .*none\.csv does not exist; create it"):
        load_corporate_actions(tmp_path / "none.csv", now=NOW)
