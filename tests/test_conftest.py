"""The rules for the whole test run hold in one process and in several."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
TESTS: Final = """
import os
import pytest

@pytest.fixture
def costly():
    raise AssertionError("the skip comes first")

@pytest.mark.external("exiftool")
def test_external(costly):
    raise AssertionError("there is no exiftool")

@pytest.mark.terminal
def test_terminal():
    pass

def test_other():
    pass
"""
NO_TERMINALS: Final = """
import os

def openpty():
    raise OSError("out of pty devices")

os.openpty = openpty
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Tests that require missing things, run under this project's own conftest."""
    shutil.copy(HERE / "conftest.py", tmp_path)
    shutil.copytree(
        HERE / "toolkit", tmp_path / "toolkit", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(HERE.parent / "pyproject.toml", tmp_path)
    (tmp_path / "test_plain.py").write_text(TESTS)
    (tmp_path / "sitecustomize.py").write_text(NO_TERMINALS)
    return tmp_path


def run(suite: Path, *words: str, **environment: str) -> tuple[int, dict[str, int], str]:
    """Return the exit code, the number of tests by outcome, and all output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    clean |= {"PYTHONPATH": str(suite), "PATH": str(suite), "IMGBATCH_NO_SKIPS": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "test_plain.py"],
        cwd=suite,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    counts = {word: int(count) for count, word in re.findall(r"(\d+) (\w+)", done.stdout[-100:])}
    counts.pop("in", None)
    return done.returncode, counts, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "1"])
def test_missing_requirement_is_a_skip_or_a_failure(suite: Path, workers: str) -> None:
    code, counts, said = run(suite, "-n", workers)
    strict_code, strict_counts, strict_said = run(suite, "-n", workers, IMGBATCH_NO_SKIPS="1")

    assert (code, counts) == (0, {"passed": 1, "skipped": 2})
    assert "exiftool (Debian: libimage-exiftool-perl) is lacking: no exiftool on the PATH" in said
    assert "there are no pseudo-terminals here: out of pty devices" in said
    assert (strict_code, strict_counts) == (1, {"passed": 1, "errors": 2})
    assert strict_said.count("and this run allows no skips: Skipped: ") >= 2
