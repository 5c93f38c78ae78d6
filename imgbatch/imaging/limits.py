"""How much of what travels with the pixels is read: one table, the same for all formats.

A small file can contain what costs thousands of times its size to take apart. Each bound is
several times what real files are known to have; beyond it the part is dropped with a warning, and
the picture is made.
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
"""Nesting of elements; structures of structures reach 20."""
XMP_NAMESPACES: Final = 500
"""Prefixes known in one place. A packet that passed many programs has 50."""

EXIF_BYTES: Final = 16_000_000
"""A JPEG's segment holds 64 KB; elsewhere MakerNotes with previews reach a few MB."""
EXIF_ENTRIES: Final = 5_000
"""In all directories of a block; cameras write 300 at most, and a JPEG's segment holds 5,461."""
EXIF_OVERLAP: Final = 4
"""How many times their block's length all values may claim: they never overlap much."""
DIRECTORIES: Final = 16
"""Directories below each other in a block; Exif 2.32 has four."""

IPTC_BYTES: Final = 16_000_000
"""Captions are text; a preview (2:202) has 256 KB at most."""
IPTC_SETS: Final = 20_000
"""One for each keyword; agencies write some hundreds."""

ICC_BYTES: Final = 32_000_000
"""Printers' tables reach 5 MB."""

TEXT_BYTES: Final = 16_000_000
"""All texts of a PNG, unpacked, except XMP and profiles."""
PNG_CHUNK_BYTES: Final = max(XMP_BYTES, ICC_BYTES, 2 * EXIF_BYTES)
"""One text or profile of a PNG, unpacked; EXIF may be there in hexadecimal digits."""
TEXTS: Final = 10_000
"""Number of texts in a PNG, and of comment blocks in a GIF."""

SEGMENTS: Final = 5_000
"""Segments before a JPEG's picture: the longest XMP takes 500, a profile 255."""
SEGMENT_BYTES: Final = 128_000_000
"""Bytes of those segments together."""

BOXES: Final = 1_000
"""Boxes beside each other in JPEG 2000, AVIF and HEIC; there are usually about ten."""

PAGES: Final = 100_000
"""Pages of a TIFF, which fails beyond that. Microscope stacks have some 10,000."""
