"""The Makefile explains itself, and does what the documents say."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def make(*arguments: str) -> str:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_help_lists_every_target_with_a_sentence() -> None:
    listed = dict(re.findall(r"^  ([a-z-]+) +(\S.*)$", make("help"), re.MULTILINE))

    assert set(listed) == targets()
    assert {"run", "test", "check", "test-clients", "lock", "docs", "bench", "clean", "fmt"} <= set(listed)


def test_make_alone_prints_the_help() -> None:
    assert make() == make("help")


def test_no_target_is_mistaken_for_a_file() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert phony is not None
    assert set(phony.group(1).split()) == targets()


def test_once_is_handed_to_the_demo_and_zero_means_no() -> None:
    assert "tools.demo --once" in make("-n", "run", "ONCE=1")
    assert "--once" not in make("-n", "run")
    assert "--once" not in make("-n", "run", "ONCE=0")


def test_the_build_server_runs_what_everybody_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text()

    assert script.startswith("#!/usr/bin/env bash\n")
    assert script.rstrip().endswith("exec make test")
