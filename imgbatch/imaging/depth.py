"""The bits per channel of a file, from its header: of colours Pillow keeps 8.

`deep_files` reads more of them, with the extra `deep`.
"""

from __future__ import annotations

from typing import Any, BinaryIO, Final

_SIZ: Final = b"\xff\x4f\xff\x51"
_HEAD_BYTES: Final = 65_536
_PLAIN_BITS: Final = 8
_BITS_PER_SAMPLE: Final = 0x0102


def lost_to_pillow(image: Any, file: BinaryIO) -> int:
    """The bits per channel of an opened image, not loaded yet, of which Pillow would keep 8.

    0 if Pillow keeps them all, as for plain pictures and grey. `file` is read, and its position
    restored.
    """
    read_bits = {
        "PNG": _png,
        "TIFF": _tiff,
        "PPM": _by_maximum,
        "JPEG2000": _jpeg2000,
        "AVIF": _avif,
        "HEIF": _heif,
    }.get(image.format)
    if read_bits is None or image.mode.startswith("I"):
        return 0
    place = file.tell()
    bits = read_bits(image, file)
    file.seek(place)
    return bits if bits > _PLAIN_BITS else 0


def sample_bits(image: Any, file: BinaryIO) -> tuple[int, ...]:
    """The bits of each component of a JPEG 2000 image (ISO 15444-1, A.5.1), negative if signed.

    Empty if they are unknown, or if the components differ in size.
    """
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    at = head.find(_SIZ)
    count = int.from_bytes(head[at + 40 : at + 42])
    rows = head[at + 42 : at + 42 + 3 * count]
    if at < 0 or len(rows) < 3 * count or set(rows[1::3]) | set(rows[2::3]) != {1}:
        return ()
    bits = ((one & 0x7F) + 1 for one in rows[::3])
    return tuple(-n if one & 0x80 else n for n, one in zip(bits, rows[::3], strict=True))


def _png(image: Any, file: BinaryIO) -> int:
    return 16 if image.tile and ";16" in str(image.tile[0].args) else 0


def _tiff(image: Any, file: BinaryIO) -> int:
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, (1,))
    wide = image.mode not in ("1", "F") and isinstance(bits, tuple)
    return max((one for one in bits if isinstance(one, int)), default=0) if wide else 0


def _by_maximum(image: Any, file: BinaryIO) -> int:
    """A PPM has its highest level in the header (16 bits if that is above 255)."""
    args = image.tile[0].args if image.tile else ()
    maximum = args[1] if isinstance(args, tuple) and len(args) > 1 else 0
    return maximum.bit_length() if isinstance(maximum, int) else 0


def _jpeg2000(image: Any, file: BinaryIO) -> int:
    return max((abs(bits) for bits in sample_bits(image, file)), default=0)


def _avif(image: Any, file: BinaryIO) -> int:
    """From the third byte of an av1C box (AV1-ISOBMFF, 2.3.3): high_bitdepth and twelve_bit."""
    file.seek(0)
    at = file.read(_HEAD_BYTES).find(b"av1C")
    file.seek(at + 6)
    flags = file.read(1) if at >= 0 else b""
    if not flags or not flags[0] & 0x40:
        return 0
    return 12 if flags[0] & 0x20 else 10


def _heif(image: Any, file: BinaryIO) -> int:
    bits = image.info.get("bit_depth", 0)
    return bits if isinstance(bits, int) else 0
