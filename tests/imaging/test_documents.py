"""TIFFs of several pages: every page keeps its own metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toolkit import pictures
from toolkit.animations import decoded_frames, made, run
from toolkit.exiftool import exiftool
from toolkit.pictures import saved

from imgbatch.errors import PictureError
from imgbatch.imaging.decode import Demand


@dataclass(frozen=True)
class Sheet:
    """A page: its pixels and its metadata."""

    image: Image.Image
    dpi: tuple[int, int]
    icc: bytes | None = None
    orientation: int = 1
    words: str = "a page"


def sheets() -> list[Sheet]:
    colours = pictures.scene(80, 60)
    grey = Image.fromarray(colours[..., 0].copy())
    deep = Image.fromarray(colours[..., 1].astype(np.uint16) * 257)
    wide = pictures.wide_gamut_profile()
    stored = Image.fromarray(pictures.stored(pictures.quarters(64, 48), 6))
    return [
        Sheet(Image.fromarray(colours), (300, 300), wide, words="colours"),
        Sheet(grey.resize((50, 70)), (72, 72), pictures.grey_profile(), words="grey"),
        Sheet(stored, (150, 150), None, 6, words="turned"),
        Sheet(Image.fromarray(np.dstack([colours, colours])[..., :4].copy(), "CMYK"), (96, 96)),
        Sheet(deep, (600, 600), words="deep"),
    ]


def tiff_file(pages: Sequence[Sheet], **options: Any) -> bytes:
    from PIL.TiffImagePlugin import AppendingTiffWriter

    buffer = BytesIO()
    with AppendingTiffWriter(buffer) as writer:
        for page in pages:
            tags = Image.Exif()
            tags[0x010E], tags[0x0112] = page.words, page.orientation
            page.image.save(
                writer, "TIFF", dpi=page.dpi, icc_profile=page.icc, exif=tags, **options
            )
            writer.newFrame()
    return buffer.getvalue()


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate"])
def test_every_page_keeps_its_own_metadata(tmp_path: Path, compression: str) -> None:
    given = sheets()
    data = made(tmp_path, tiff_file(given), "a.tif", sizes=["40"], compression=compression)
    with Image.open(BytesIO(data)) as image:
        assert image.n_frames == len(given)  # type: ignore[attr-defined]
        for number, page in enumerate(given):
            image.seek(number)
            upright = page.image
            if page.orientation == 6:
                upright = upright.transpose(Image.Transpose.ROTATE_270)
            scale = 40 / max(upright.size)
            size = (round(upright.width * scale), round(upright.height * scale))
            assert (image.mode, image.size) == (page.image.mode, size)
            assert image.info["dpi"] == pytest.approx(page.dpi)
            tags: Any = image.tag_v2  # type: ignore[attr-defined]
            assert tags.get(0x8773) == page.icc
            assert tags[0x010E] == page.words
            assert tags.get(0x0112, 1) == 1
            if page.image.mode == "I;16":
                expected = np.asarray(
                    Image.fromarray(np.asarray(upright).astype(np.float32)).resize(
                        size, Image.Resampling.LANCZOS
                    )
                )
                assert np.abs(np.asarray(image) - expected).max() <= 2 * 257
            else:
                expected = np.asarray(upright.resize(size, Image.Resampling.LANCZOS))
                # Pillow rounds and clips between the two passes, which shows at sharp edges.
                difference = np.abs(np.asarray(image).astype(int) - expected)
                assert difference.mean() < 0.5
                assert difference.max() <= 12


@pytest.mark.slow
@pytest.mark.external("exiftool")
def test_exiftool_finds_no_fault_with_pages(tmp_path: Path) -> None:
    """Each has its own EXIF directory, and all offsets in the file are right."""
    pages = []
    for number in range(3):
        block = pictures.exif_block(orientation=None, gps=True).block
        tags = Image.Exif()
        tags.load(block)
        for tag in (0x0100, 0x0101):
            del tags[tag]
        pages.append(saved(pictures.scene(40 + number, 30), "TIFF", exif=tags))
    from imgbatch.imaging.containers.tiff import joined

    (tmp_path / "b.tif").write_bytes(
        made(tmp_path, joined(pages), "a.tif", sizes=["20"], compression="lzw")
    )
    checks = ("-validate", "-warning", "-a", "-G1", "-s", "-error")
    wanted = ("-ImageWidth", "-DateTimeOriginal", "-GPSLatitude", "-ExposureTime")
    told = exiftool(*checks, *wanted, tmp_path / "b.tif").decode()
    lines = told.splitlines()
    assert sum("ImageWidth" in line and ": 20" in line for line in lines) == 3
    assert sum("DateTimeOriginal" in line and pictures.TAKEN in line for line in lines) == 3
    assert sum("ExposureTime" in line and "1/250" in line for line in lines) == 3
    assert "Error" not in told


@pytest.mark.parametrize("target", ["gif", "png", "jpeg", "webp"])
def test_pages_are_not_frames(tmp_path: Path, target: str) -> None:
    data = tiff_file([sheets()[0], *sheets()[1:3]])
    result = run(tmp_path, data, "a.tif", format=target)
    assert ("frames-dropped", "only the first of 3 pages was kept") in [
        (one.kind, one.message) for one in result.notices
    ]
    with Image.open(result.written[0].path) as image:
        assert (getattr(image, "n_frames", 1), image.size) == (1, (80, 60))


def test_oversized_or_broken_later_page_fails_the_file(tmp_path: Path) -> None:
    small = Sheet(Image.new("L", (8, 8)), (72, 72))
    large = Sheet(Image.new("L", (300, 200)), (72, 72))
    data = tiff_file([small, large])
    with pytest.raises(PictureError) as caught:
        decoded_frames(tmp_path, data, max_pixels=50_000)
    assert caught.value.failure.kind == "too-large"
    assert "page 2 with 300 x 200" in caught.value.failure.message
    for compression in (None, "tiff_lzw"):
        whole = tiff_file([small, large], compression=compression)
        if compression:
            # The first code of a strip is the Clear code (TIFF 6.0, section 13).
            at = whole.rindex(b"\x80\x00")
            cut = whole[:at] + b"\xff" * 8 + whole[at + 8 :]
        else:
            cut = whole[:-40_000]
        result = run(tmp_path, cut, "a.tif", sizes=["4"])
        assert result.status == "failed"
        assert not (tmp_path / "out" / "a.tif").exists()


def test_pages_with_too_many_pixels_in_all_are_refused_before_decoding(tmp_path: Path) -> None:
    """Sixteen times the limit: the first is the smallest."""
    small, large = (Sheet(Image.new("L", size), (72, 72)) for size in ((8, 8), (100, 100)))
    data = tiff_file([small, *[large] * 20])
    assert len(decoded_frames(tmp_path, data, max_pixels=12_600)) == 21
    with pytest.raises(PictureError) as caught:
        decoded_frames(tmp_path, data, max_pixels=12_400, admit=pytest.fail)
    assert caught.value.failure.kind == "too-large"
    assert "pages with" in caught.value.failure.message


def test_memory_demand_is_that_of_the_largest_page(tmp_path: Path) -> None:
    small = Sheet(Image.new("L", (8, 8)), (72, 72))
    large = Sheet(Image.new("RGB", (300, 200)), (72, 72))
    asked: list[Demand] = []
    found = decoded_frames(tmp_path, tiff_file([small, large, small]), admit=asked.append)
    assert [one.size for one in found] == [(8, 8), (300, 200), (8, 8)]
    (demand,) = asked
    assert (demand.frames, demand.decoded_size) == (3, (300, 200))
    assert demand.bytes > 300 * 200 * 3
