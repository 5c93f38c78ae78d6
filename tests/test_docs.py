"""docs/operations.md is what `scripts/tool make_docs` makes of this version."""

from __future__ import annotations

from typing import Final

import pytest
from PIL import Image
from toolkit import ROOT
from toolkit.commands import tool

from imgbatch.operations import names

REMEDY: Final = "run scripts/tool make_docs"


@pytest.mark.slow
def test_the_page_tells_what_the_operations_say_of_themselves() -> None:
    run = tool("tools.make_docs", "--text")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == (ROOT / "docs/operations.md").read_text(encoding="utf-8"), REMEDY


def test_every_operation_has_its_picture_of_before_and_after() -> None:
    pictures = {path.stem: path for path in (ROOT / "docs/operations").glob("*.webp")}
    assert set(pictures) == set(names()), REMEDY
    for path in pictures.values():
        with Image.open(path) as sheet:
            assert sheet.width == 2 * 440 + 8
    assert sum(path.stat().st_size for path in pictures.values()) < 2_500_000
