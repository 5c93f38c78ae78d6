"""--dpi: the resolution is written into every format that holds one."""

from __future__ import annotations

import pytest

from imgbatch.imaging.metadata import xmp

BEFORE = b"<rdf:Description tiff:XResolution='72/1' tiff:YResolution = \"72\"><tiff:ResolutionUnit>"
AFTER = (
    b"<rdf:Description tiff:XResolution='300/1' tiff:YResolution = \"300/1\"><tiff:ResolutionUnit>"
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BEFORE + b"3</tiff:ResolutionUnit>", AFTER + b"2</tiff:ResolutionUnit>"),
        (
            b"<tiff:XResolution>7200/100</tiff:XResolution>",
            b"<tiff:XResolution>300/1</tiff:XResolution>",
        ),
        (b"tiff:ImageWidth='72' xtiff:XResolution='72'", None),
        (b"my:XResolution='72' tiff:XResolution='fine'", None),
    ],
)
def test_xmp_tells_another_resolution_where_it_tells_one(
    before: bytes, after: bytes | None
) -> None:
    assert xmp.with_resolution(before, 300) == (after or before)


def test_no_xmp_stays_none() -> None:
    assert xmp.with_resolution(None, 300) is None
