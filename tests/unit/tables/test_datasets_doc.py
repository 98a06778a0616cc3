"""docs/DATASETS.md is what its generator writes."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
GENERATOR = "tools/generate_datasets_doc.py"


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(root / GENERATOR), *arguments], capture_output=True, text=True)


def test_the_page_is_current() -> None:
    result = run(ROOT, "--check")
    assert result.returncode == 0, result.stderr


def test_a_stale_page_is_noticed_and_written_anew(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / GENERATOR, tmp_path / "tools")
    page = tmp_path / "docs" / "DATASETS.md"
    page.write_text((ROOT / "docs" / "DATASETS.md").read_text().replace("Best bid", "Best bet"))
    stale = run(tmp_path, "--check")
    assert stale.returncode == 1
    assert "not up to date" in stale.stderr
    assert "Best bet" in page.read_text()
    assert run(tmp_path).returncode == 0
    assert run(tmp_path, "--check").returncode == 0
