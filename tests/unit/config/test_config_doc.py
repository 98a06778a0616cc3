"""docs/CONFIG.md is what the models and the comments say."""

from pathlib import Path

import pytest

from opt_data.config.load import section_models
from tools import generate_config_doc


def test_the_page_is_current() -> None:
    assert generate_config_doc.main(["--check"]) == 0


def test_check_fails_on_an_old_page_and_leaves_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "CONFIG.md"
    page.write_text("old", encoding="utf-8")
    monkeypatch.setattr(generate_config_doc, "PAGE", page)
    assert generate_config_doc.main(["--check"]) == 1
    assert page.read_text(encoding="utf-8") == "old"
    assert generate_config_doc.main([]) == 0
    assert generate_config_doc.main(["--check"]) == 0


def test_every_key_has_a_row_with_its_comment_and_limits() -> None:
    page = generate_config_doc.render_page("[discovery]\n# How many.\nbatch_size = 40\n")
    assert "| `batch_size` | How many. | whole number, ≥ 1, ≤ 50 | `40` |" in page
    for model in section_models().values():
        for key in model.model_fields:
            assert f"| `{key}` |" in page
