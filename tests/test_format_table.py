"""docs/formats.md is what scripts/make_format_table makes of this version."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from imgbatch.imaging import formats
from imgbatch.model import NOTICES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/formats.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts/make_format_table"
    spec = importlib.util.spec_from_loader(
        "make_format_table", SourceFileLoader("make_format_table", str(path))
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look for the module they stand in.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_nothing_is_lost_in_silence_and_nothing_failed() -> None:
    assert "SILENT" not in PAGE
    assert "failed:" not in PAGE


def test_the_page_names_every_kind_of_source_format_and_warning(script: ModuleType) -> None:
    sections = PAGE.split("\n## ")
    for kind in script.kinds():
        (section,) = [one for one in sections if one.startswith(f"{kind.name}\n")]
        assert [name for name in formats.WRITABLE if f"\n| {name} |" not in section] == []
    assert [kind for kind in NOTICES if f"| `{kind}` |" not in PAGE] == []
    for row in formats.FORMATS:
        assert script._row_of(row) in PAGE


SOME = {
    "JPEG with everything": ["jpeg", "webp", "gif"],
    "PNG, 16-bit RGBA": ["png", "jpeg", "tiff"],
    "GIF, animated, with a comment": ["webp", "png", "jpeg"],
    "TIFF of three pages": ["tiff", "png"],
}


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_some_pairs_come_out_as_the_page_says(script: ModuleType, tmp_path: Path) -> None:
    chosen = [kind for kind in script.kinds() if kind.name in SOME]
    assert len(chosen) == len(SOME)
    for number, kind in enumerate(chosen):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = list(script.run(folder, [kind], SOME[kind.name]))
        section = next(one for one in PAGE.split("\n## ") if one.startswith(f"{kind.name}\n"))
        for pair in made:
            (line,) = [one for one in section.splitlines() if one.startswith(f"| {pair.target} |")]
            cells = [cell.strip() for cell in line.strip("|").split("|")[1:]]
            told = [pair.cells[one] for one in script.ASPECTS[1:] if one in pair.cells]
            # How far lossy codecs are off varies with their versions.
            assert [cell for cell in cells[1:-1] if cell] == told
            assert cells[-1] == ", ".join(pair.warnings)
            assert ("off" in cells[0]) == ("off" in pair.cells["pixels"])
