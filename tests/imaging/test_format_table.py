"""docs/formats.md is what `scripts/tool make_format_table` writes for this version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops
from toolkit import ROOT
from toolkit.pictures import opened, saved
from tools import make_format_table

from imgbatch.imaging import formats
from imgbatch.model import NOTICES

PAGE = (ROOT / "docs/formats.md").read_text(encoding="utf-8")


def test_nothing_is_lost_silently_and_nothing_failed() -> None:
    assert "SILENT" not in PAGE
    assert "failed:" not in PAGE


@pytest.mark.slow
def test_page_names_every_kind_of_source_format_and_warning() -> None:
    sections = PAGE.split("\n## ")
    names = ["Formats", "Warnings", *(kind.name for kind in make_format_table.kinds())]
    assert [one.partition("\n")[0] for one in sections[1:]] == names
    for kind in make_format_table.kinds():
        (section,) = [one for one in sections if one.startswith(f"{kind.name}\n")]
        assert [name for name in formats.WRITABLE if f"\n| {name} |" not in section] == []
    assert [kind for kind in NOTICES if f"| `{kind}` |" not in PAGE] == []
    for row in formats.FORMATS:
        assert make_format_table._row_of(row) in PAGE


PNG = (".png", "png")
SOME = {
    "JPEG with everything": ["jpeg", "webp", "gif"],
    "PNG, 16-bit RGBA": ["png", "jpeg", "tiff"],
    "GIF, animated, with a comment": ["webp", "png", "jpeg"],
    "TIFF of three pages": ["tiff", "png"],
    "TIFF, 16-bit RGB with a profile": ["png", "bmp"],
}


@pytest.mark.slow
@pytest.mark.external("exiftool")
def test_sample_pairs_match_the_page(tmp_path: Path) -> None:
    chosen = [kind for kind in make_format_table.kinds() if kind.name in SOME]
    assert len(chosen) == len(SOME)
    for number, kind in enumerate(chosen):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = list(make_format_table.run(folder, [kind], SOME[kind.name]))
        section = next(one for one in PAGE.split("\n## ") if one.startswith(f"{kind.name}\n"))
        for pair in made:
            (line,) = [one for one in section.splitlines() if one.startswith(f"| {pair.target} |")]
            cells = [cell.strip() for cell in line.strip("|").split("|")[1:]]
            told = [pair.cells[one] for one in make_format_table.ASPECTS[1:] if one in pair.cells]
            # The error of lossy codecs varies with their versions.
            assert [cell for cell in cells[1:-1] if cell] == told
            assert cells[-1] == ", ".join(pair.warnings)
            assert ("off" in cells[0]) == ("off" in pair.cells["pixels"])


def test_loss_without_a_warning_is_marked(tmp_path: Path) -> None:
    kinds = {kind.name: kind for kind in make_format_table.kinds()}

    def look(name: str, made: bytes, suffix: str, target: str, **tags: str) -> dict[str, str]:
        path = tmp_path / f"made{suffix}"
        path.write_bytes(made)
        had = {"IFD0:Model": "A", "GPS:GPSLatitude": 1, "XMP-dc:Title": "B", "IPTC:City": "C"}
        had |= {"File:Comment": "D", "JFIF:XResolution": 300}
        looked: dict[str, str] = make_format_table.Look(kinds[name], target, path, had, tags).cells(
            ()
        )
        return looked

    def small(name: str, mode: str) -> Image.Image:
        image = opened(kinds[name].data).convert(mode).resize(make_format_table.SMALLER)
        # Pillow would save the profile as well.
        image.info.clear()
        return image

    plain = look("JPEG with everything", saved(small("JPEG with everything", "RGB"), "PNG"), *PNG)
    # The profile was ignored: the colours differ.
    assert "off, SILENT" in plain["pixels"]
    for aspect in ("EXIF", "XMP", "IPTC", "comment", "resolution"):
        assert plain[aspect] == "dropped, SILENT"
    some = {"IFD0:Model": "A", "XMP-dc:Title": "other"}
    made = saved(small("JPEG with everything", "RGB"), "PNG")
    in_part = look("JPEG with everything", made, *PNG, **some)
    assert in_part["EXIF"] == "without GPS:GPSLatitude, SILENT"
    assert in_part["XMP"] == "dropped, SILENT"

    opaque = look("PNG with alpha", saved(small("PNG with alpha", "RGB"), "PNG"), *PNG)
    assert opaque["alpha"] == "flattened, SILENT"
    wrong = small("PNG with alpha", "RGBA")
    wrong.putalpha(wrong.getchannel("A").point(lambda level: level // 2))
    assert "off, SILENT" in look("PNG with alpha", saved(wrong, "PNG"), *PNG)["alpha"]

    # 16 bits in name, but with only the levels of 8.
    grey = np.asarray(small("BMP", "L")).astype(np.uint16) * 257
    assert look("PNG, 16-bit grey", saved(grey, "PNG"), *PNG)["depth"] == "8 bits, SILENT"

    one = small("PNG, animated", "RGBA")
    assert look("PNG, animated", saved(one, "PNG"), *PNG)["frames"] == "1 of 3, SILENT"
    frames = [ImageChops.offset(one, step) for step in (8, 16)]
    slow = saved(one, "PNG", save_all=True, append_images=frames, duration=500)
    assert look("PNG, animated", slow, *PNG)["frames"] == "3 of 3 in 1500 ms, SILENT"
