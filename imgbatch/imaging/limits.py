"""How much of what travels with the pixels is read: one table, the same for all formats.

A small file can hold what costs thousands of times its size to take apart. Each bound is several
times what real files are known to have; beyond it the part is dropped with a warning, and the
picture is made.
"""

from __future__ import annotations

from typing import Final

XMP_BYTES: Final = 32_000_000
"""Lightroom's and Photoshop's histories reach several MB, depth maps in base64 some 15 MB."""
XMP_PARTS: Final = 100_000
"""Elements, attributes, comments and the like, end tags included, by the number of `<` and `=`.

The longest histories and lists of ancestors in use have some 10,000 elements.
"""
XMP_DEPTH: Final = 100
"""Elements within each other; structures of structures come to 20."""
XMP_NAMESPACES: Final = 500
"""Prefixes known at one place. A packet through many programs' hands has 50."""

EXIF_BYTES: Final = 16_000_000
"""A JPEG's segment holds 64 KB; elsewhere MakerNotes with previews reach a few MB."""
EXIF_ENTRIES: Final = 5_000
"""In all directories of a block; cameras write 300 at most, and a JPEG's segment holds 5,461."""
EXIF_OVERLAP: Final = 4
"""How many times their block's length the values together may claim: they never overlap much."""
DIRECTORIES: Final = 16
"""In a block, below each other; Exif 2.32 knows four."""

IPTC_BYTES: Final = 16_000_000
"""Captions are text; a preview (2:202) has 256 KB at most."""
IPTC_SETS: Final = 20_000
"""One for each keyword; agencies write some hundreds."""

ICC_BYTES: Final = 32_000_000
"""Printers' tables have up to 5 MB."""

TEXT_BYTES: Final = 16_000_000
"""All texts of a PNG, unpacked, but for XMP and profiles."""
TEXTS: Final = 10_000
"""Of a PNG; of a GIF the blocks of its comments."""

SEGMENTS: Final = 5_000
"""Of a JPEG before its picture: those of the longest XMP are 500, of a profile 255."""
SEGMENT_BYTES: Final = 128_000_000
"""Those segments together."""

BOXES: Final = 1_000
"""At the top of a JPEG 2000 file; there are about ten."""

PAGES: Final = 100_000
"""Of a TIFF, which fails beyond it. Stacks of microscopes have some 10,000."""
