"""What a stranger's checkout must hold, and what must never be in it."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve()


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> dict[Path, str]:
    found = {}
    for path in tracked_files():
        try:
            found[path] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


FORBIDDEN = {
    "a path of one machine": r"(?<![\w.])/(work|root|home/\w+|Users/\w+)/",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "an access key": r"\b(AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}|xox[bp]-[0-9A-Za-z-]{10,})\b",
    "a Fernet key": r"(?<![\w/+=-])[A-Za-z0-9_-]{43}=(?!\w)",
    "who wrote it instead of what it does": r"(?i)\b(claude|anthropic|chatgpt|openai|copilot|language model)\b",
    "a ticket number of some tracker": r"(?i)\b(issue|ticket) #?[1-9]\d?\b(?!\d)",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])

    hits = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path, text in texts().items()
        if path != HERE
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]

    assert hits == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_a_lock_pins_every_package_and_names_no_registry(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()

    assert len(lines) > 100
    assert [line for line in lines if not re.match(r"^[a-z0-9-]+==[\w.+!]+( ; .+)?$", line)] == []


def test_the_run_lock_is_part_of_the_development_lock() -> None:
    run = set((ROOT / "requirements.txt").read_text().splitlines())
    development = set((ROOT / "requirements-dev.txt").read_text().splitlines())

    assert run < development


def test_what_runs_leaves_nothing_for_git() -> None:
    ignored = [".run/airflow/airflow.cfg", ".venv/bin/python", "data/clean/x.parquet", "state/x.json", ".env"]

    told = subprocess.run(["git", "check-ignore", *ignored], cwd=ROOT, capture_output=True, text=True).stdout.split()

    assert told == ignored


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text()

    assert "Version 2.0, January 2004" in text
    assert "9. Accepting Warranty or Additional Liability" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_no_room_is_empty() -> None:
    """Every tracked folder of code holds something besides its ``__init__``, or folders that do."""
    files = [path.relative_to(ROOT) for path in tracked_files()]
    folders = {folder for path in files if path.suffix == ".py" for folder in path.parents if folder != Path()}

    empty = {
        folder
        for folder in folders
        if not any(path.is_relative_to(folder) and path.name != "__init__.py" for path in files)
    }

    assert empty == set()


def test_every_package_and_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if path.suffix == ".py"
        and path.parts[len(ROOT.parts)] in ("plugins", "dags", "tools", "benchmarks")
        and ast.get_docstring(ast.parse(path.read_text())) is None
    ]

    assert silent == []


def test_architecture_names_every_room() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    files = [path.relative_to(ROOT) for path in tracked_files()]
    rooms = {f"{path.parts[0]}/" for path in files if len(path.parts) > 1}
    rooms |= {f"{path.parts[2]}/" for path in files if path.match("plugins/opt_data/*/*.py")}

    assert sorted(room for room in rooms if f"`{room}`" not in page) == []
