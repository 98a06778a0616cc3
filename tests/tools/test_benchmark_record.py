"""What a benchmark leaves behind."""

import json
from pathlib import Path

import pytest

from benchmarks.record import record


@pytest.mark.parametrize(
    ("ratio", "options", "code"),
    [
        (1.5, {}, 0),
        (1.501, {}, 1),
        (1.5, {"at_least": True}, 0),
        (1.499, {"at_least": True}, 1),
        (1.0, {"keeps_limits": False}, 1),
    ],
)
def test_the_exit_code_says_whether_the_bar_is_held(
    ratio: float, options: dict[str, bool], code: int, tmp_path: Path
) -> None:
    assert record("rollup", ratio, {}, bar=1.5, folder=tmp_path, **options) == code
    assert json.loads((tmp_path / "rollup.json").read_text())["is_held"] is (code == 0)


def test_the_ratio_is_printed_and_kept_with_what_it_rests_on(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    record("capture_rate", 0.95, {"seconds": [1.5, 2]}, bar=0.9, at_least=True, folder=tmp_path / "new")

    kept = json.loads((tmp_path / "new" / "capture_rate.json").read_text())
    assert "capture rate ratio 0.950 (bar ≥ 0.9): held" in capsys.readouterr().out
    assert (kept["ratio"], kept["bar"], kept["figures"]) == (0.95, 0.9, {"seconds": [1.5, 2]})


def test_another_size_is_printed_but_not_kept(tmp_path: Path) -> None:
    assert record("rollup", 1.0, {}, bar=1.5, is_full_size=False, folder=tmp_path) == 0
    assert list(tmp_path.iterdir()) == []
