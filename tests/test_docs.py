"""The generated pages are what their tools make of this version."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest
from PIL import Image
from toolkit import ROOT
from tools import make_cli_docs

from imgbatch.operations import names

REMEDY: Final = "run scripts/make_docs"


@pytest.mark.slow
def test_the_page_tells_what_the_operations_say_of_themselves() -> None:
    run = subprocess.run(
        [sys.executable, "-X", "utf8", ROOT / "scripts/make_docs", "--text"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    assert run.stdout == (ROOT / "docs/operations.md").read_text(encoding="utf-8"), REMEDY


def test_every_operation_has_its_picture_of_before_and_after() -> None:
    pictures = {path.stem: path for path in (ROOT / "docs/operations").glob("*.webp")}
    assert set(pictures) == set(names()), REMEDY
    for path in pictures.values():
        with Image.open(path) as sheet:
            assert sheet.width == 2 * 440 + 8
    assert sum(path.stat().st_size for path in pictures.values()) < 2_500_000


def test_the_page_of_options_is_what_is_declared_of_them() -> None:
    assert make_cli_docs.page() == (ROOT / "docs/cli.md").read_text(encoding="utf-8"), (
        "run scripts/tools/make_cli_docs.py"
    )


def test_the_page_of_options_tells_what_stands_nowhere_else() -> None:
    page = make_cli_docs.page()
    assert page.count("`convert`, `filter` and `run` have none of these.") == 1
    assert "| `-q`, `--quality` `N` | `quality` | `quality` |" in page
    assert "Formats that have it: JPEG, AVIF, HEIC." in page
    assert "| `--dither`, `--no-dither` | `dither` | `dither` | yes |" in page
    assert "| `--save-recipe` `FILE` |  |  |  |" in page
