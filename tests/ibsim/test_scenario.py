"""Scenario files and patches."""

import json
import re
import tomllib
from dataclasses import asdict
from datetime import date
from pathlib import Path

import pytest

from ibsim.scenario import Dwell, Scenario, ScenarioError, patched, read_scenario, scenario_of

TOML = """
seed = 3
[hours]
closed = [2025-11-25]
[dwell]
kind = "uniform"
low_s = 1
high_s = 4.0
[limits]
lines = 200
[entitlements.symbols]
AAPL = "delayed"
[[faults.errors]]
code = 200
text = "gone"
conid = 5
[[events]]
at = 2025-11-24T12:00:00-05:00
op = "begin_outage"
"""


def test_a_toml_file(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(TOML)
    scenario = read_scenario(path)
    assert (scenario.seed, scenario.limits.message_rate, scenario.dwell.low_s) == (3, 100, 1.0)
    assert scenario.hours.closed == (date(2025, 11, 25),)
    assert scenario.hours.market_hours().trading_day(date(2025, 11, 25)) is None
    assert scenario.entitlements.of("AAPL", is_option=True) == "delayed"
    assert scenario.faults.errors[0].conid == 5
    assert scenario.events[0].at.isoformat() == "2025-11-24T12:00:00-05:00"


def test_plain_data_and_back():
    scenario = scenario_of({"hours": {"closed": ["2025-11-25"]}, "faults": {"errors": [{"code": 1, "text": "x"}]}})
    assert scenario_of(json.loads(json.dumps(asdict(scenario), default=str))) == scenario


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"sed": 1}, "unknown key sed; did you mean seed"),
        ({"limits": {"line": 1}}, "unknown key limits.line; did you mean lines"),
        ({"limits": {"lines": "many"}}, "limits.lines must be int"),
        ({"limits": {"lines": True}}, "limits.lines must be int"),
        ({"limits": 5}, "limits must be a table"),
        ({"limits": {"rate_scope": "some"}}, "limits.rate_scope must be connection or all"),
        ({"limits": {"excess": "some"}}, "limits.excess must be reject or accept"),
        ({"dwell": {"kind": "normal"}}, "dwell.kind must be"),
        ({"entitlements": {"options": "some"}}, "an entitlement is one of"),
        ({"hours": {"closed": ["soon"]}}, r"hours.closed\[0\]"),
        ({"faults": {"errors": [{"code": 1}]}}, "text is missing"),
        ({"faults": {"silent_conids": 5}}, "faults.silent_conids must be a list"),
        ({"events": [{"at": "2025-11-24T12:00:00", "op": "x"}]}, "has no offset"),
        ({"quotes": []}, "quotes must be a table"),
    ],
)
def test_mistakes_are_named(data, message):
    with pytest.raises(ScenarioError, match=message):
        scenario_of(data)


def test_a_broken_file_is_named(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text("seed = ")
    with pytest.raises(ScenarioError, match=r"s\.toml"):
        read_scenario(path)


def test_patches_merge_tables_and_replace_the_rest():
    data = {"limits": {"lines": 5, "strikes": 1}, "events": [1], "seed": 1}
    assert patched(data, {"limits": {"lines": 6}, "events": []}) == {
        "limits": {"lines": 6, "strikes": 1}, "events": [], "seed": 1,
    }  # fmt: skip


def test_the_default_scenario_is_complete():
    assert scenario_of({}) == Scenario()


@pytest.mark.parametrize(
    ("dwell", "low", "high"),
    [(Dwell("fixed", low_s=0.7), 0.7, 0.7), (Dwell("uniform", 1.0, 4.0), 1.0, 4.0), (Dwell(high_s=0.9), 0.0, 0.9)],
)
def test_dwell_is_drawn_within_its_bounds_and_always_the_same(dwell, low, high):
    drawn = [dwell.draw(1, conid, 1) for conid in range(200)]
    assert drawn == [dwell.draw(1, conid, 1) for conid in range(200)]
    assert low <= min(drawn)
    assert max(drawn) <= high
    assert dwell.kind == "fixed" or len(set(drawn)) > 50


def test_uniform_dwell_has_its_mean_in_the_middle():
    drawn = [Dwell("uniform", 1.0, 4.0).draw(1, conid, 1) for conid in range(2000)]
    assert sum(drawn) / len(drawn) == pytest.approx(2.5, abs=0.1)


def test_the_documented_scenario_is_a_valid_one():
    text = (Path(__file__).parents[2] / "docs" / "ibsim.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    scenario = scenario_of(tomllib.loads(example))
    assert scenario.entitlements.of("NVDA", is_option=True) == "delayed"
    assert scenario.quotes == {"265598": {"bid": 270.0}}
