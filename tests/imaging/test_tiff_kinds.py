"""TIFFs of kinds that Pillow lacks or gets wrong: signed, Lab, inks with alpha, planes, BigTIFF.

tifffile writes them, expected levels are computed in float64 by the formulas of TIFF 6.0 and
ICC.1, and ImageMagick reads some of the same files.
"""

from __future__ import annotations

import itertools
import logging
import struct
import subprocess
import sys
import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin
from toolkit import programs
from toolkit.cases import together
from toolkit.decoding import decoded
from toolkit.deep import array_of, tiff

from imgbatch.errors import PictureError
from imgbatch.imaging import colour
from imgbatch.imaging.codecs import tiff_pixels
from imgbatch.imaging.containers import tiff as directories
from imgbatch.imaging.decode import pictures
from imgbatch.imaging.opening import Rules
from imgbatch.imaging.picture import Picture

HEIGHT, WIDTH = 21, 24
LAYOUTS: Final[dict[str, dict[str, Any]]] = {
    "plain": {"rowsperstrip": 7},
    "big-endian": {"byteorder": ">"},
    "big-endian BigTIFF": {"byteorder": ">", "bigtiff": True},
    "planes": {"planarconfig": "separate"},
    "LZW": {"compression": "lzw", "predictor": True},
    "Deflate, planes": {"compression": "zlib", "predictor": True, "planarconfig": "separate"},
    "LZW, big-endian": {"compression": "lzw", "predictor": True, "byteorder": ">"},
    "tiles": {"tile": (16, 16), "compression": "zlib", "predictor": True},
}
in_every_layout = pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)


def fractions(channels: int) -> NDArray[np.float64]:
    """Different ramps with both ends of 0..1 in every channel."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    ramps = [((across * (n + 2) + down * (3 * n + 5)) % 97) / 96 for n in range(channels)]
    return np.stack(ramps, -1)


def numbers(values: NDArray[np.float64], dtype: str) -> NDArray[Any]:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return values.astype(kind)
    scaled = np.rint(values * (2.0 ** (8 * kind.itemsize) - 1))
    return (scaled + (np.iinfo(kind).min if kind.kind == "i" else 0)).astype(kind)


def levels(picture: Picture) -> NDArray[np.float64]:
    """From 0 to 255."""
    found = array_of(picture)
    exact = found / 257 if found.dtype == np.uint16 else found.astype(np.float64)
    return exact if exact.ndim == 3 else exact[..., None]


def read(folder: Path, data: bytes) -> Picture:
    return decoded(folder, data, ".tif")


# Signed numbers


@pytest.mark.slow
@in_every_layout
@together("dtype", ["int8", "int16", "int32"])
@pytest.mark.parametrize("channels", [3, 4])
def test_lowest_signed_number_of_a_colour_is_black(
    tmp_path: Path, options: dict[str, Any], dtype: str, channels: int
) -> None:
    values = fractions(channels)
    picture = read(tmp_path, tiff(numbers(values, dtype), **options))
    assert picture.notices == ()
    assert picture.mode == ("RGB" if channels == 3 else "RGBA") + ("" if dtype == "int8" else ";16")
    assert np.abs(levels(picture) - values * 255).max() <= 0.5


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("order", "<>")
def test_signed_grey_with_8_bits_does_not_wrap_round(
    tmp_path: Path, compression: str | None, order: str
) -> None:
    stored = np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
    data = tiff(stored, compression=compression, predictor=bool(compression), byteorder=order)
    picture = read(tmp_path, data)
    assert (picture.mode, picture.notices) == ("L", ())
    np.testing.assert_array_equal(array_of(picture), np.arange(256).reshape(16, 16))


@pytest.mark.external("imagemagick")
def test_signed_grey_is_as_imagemagick_has_its_16_bits(tmp_path: Path) -> None:
    """It gets 8 signed bits wrong itself, so it is asked about the same numbers times 256."""
    narrow = np.arange(-100, 92, dtype=np.int8).reshape(12, 16)
    (tmp_path / "wide.tif").write_bytes(tiff(narrow.astype(np.int16) * 256))
    seen = of_imagemagick(tmp_path / "wide.tif", "-depth", "16")
    np.testing.assert_array_equal(array_of(read(tmp_path, tiff(narrow))), seen.astype(int) >> 8)


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
def test_wide_numbers_keep_their_byte_order_if_they_are_compressed(
    tmp_path: Path, dtype: str
) -> None:
    values = numbers(fractions(1)[..., 0], "uint16") // 2
    stored = values.astype(dtype) / (65_535 if dtype == "float32" else 1)
    data = tiff(stored.astype(dtype), byteorder=">", compression="zlib")
    np.testing.assert_array_equal(array_of(read(tmp_path, data)), values)


# White is zero


@pytest.mark.parametrize("dtype", ["float32", "uint32", "int8", "float16"])
@pytest.mark.parametrize("alpha", [None, "unassalpha", "assocalpha"])
def test_grey_with_0_for_white_is_inverted(tmp_path: Path, dtype: str, alpha: str | None) -> None:
    values = fractions(2 if alpha else 1)
    stored = values.copy()
    if alpha:
        values[..., 1] = stored[..., 1] = 0.5 + values[..., 1] / 2
    if alpha == "assocalpha":
        stored[..., 0] *= stored[..., 1]
    options = {"extrasamples": [alpha]} if alpha else {}
    file = tiff(numbers(np.squeeze(stored), dtype), photometric="miniswhite", **options)
    found = levels(read(tmp_path, file))
    exact = 255 * np.concatenate([1 - values[..., :1], values[..., 1:]], axis=2)
    assert np.abs(found - exact).max() <= (2.1 if alpha == "assocalpha" else 0.6)


def test_tables_of_pillow_are_changed_by_one_thread_at_a_time() -> None:
    table = TiffImagePlugin.OPEN_INFO
    for change in (tiff_pixels.white_first, tiff_pixels.opening):
        with change():
            assert tiff_pixels._one_at_a_time.locked()
        assert not tiff_pixels._one_at_a_time.locked()
        assert TiffImagePlugin.OPEN_INFO is table
        assert tiff_pixels.WHITE_FIRST not in table


@pytest.mark.parametrize("asked", [False, True])
def test_what_pillow_logs_is_left_to_who_asks_for_it(tmp_path: Path, asked: bool) -> None:
    """Of seven samples it says that they are too many, and then they are read."""
    path = tmp_path / "seven.tif"
    path.write_bytes(tiff(numbers(fractions(7), "uint8"), photometric="rgb", extrasamples=[0] * 4))
    ask = "import logging; logging.basicConfig();" if asked else ""
    code = f"{ask}from imgbatch.imaging.decode import decode; decode({str(path)!r}, lambda s: s)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert ("More samples per pixel" in done.stderr) == asked
    assert asked or not done.stderr


def test_log_of_tifffile_is_taken_once(tmp_path: Path) -> None:
    data = tiff(numbers(fractions(5), "uint8"), photometric="separated", extrasamples=[2])
    read(tmp_path, data)
    before = len(logging.getLogger("tifffile").handlers)
    read(tmp_path, data)
    assert len(logging.getLogger("tifffile").handlers) == before


# Inks


def light(inks: NDArray[np.float64]) -> NDArray[np.float64]:
    """The simple formula, from fractions to levels."""
    black = inks[..., 3:4]
    levels: NDArray[np.float64] = 255 * (1 - np.minimum(1, inks[..., :3] * (1 - black) + black))
    return levels


EXTRAS: Final = (("unassalpha",), ("assocalpha",), ("unassalpha", "unspecified"), (0, 0, 2, 0))


@pytest.mark.slow
@in_every_layout
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int8", "float32"])
@together("extras", EXTRAS)
def test_inks_with_alpha_become_colours_with_alpha(
    tmp_path: Path, options: dict[str, Any], dtype: str, extras: tuple[Any, ...]
) -> None:
    if dtype == "float32":
        options = {name: one for name, one in options.items() if name != "predictor"}
    values = fractions(4 + len(extras))
    place = 4 + next(at for at, one in enumerate(extras) if one not in (0, "unspecified"))
    values[..., place] = 0.5 + values[..., place] / 2
    stored = values.copy()
    if "assocalpha" in extras:
        stored[..., :4] *= values[..., 4:5]
    data = tiff(
        numbers(stored, dtype), photometric="separated", extrasamples=list(extras), **options
    )
    picture = read(tmp_path, data)
    assert (picture.mode, picture.icc) == ("RGBA", None)
    wide = dtype in ("uint16", "float32")
    kinds = [notice.kind for notice in picture.notices]
    assert kinds == ["depth-reduced"] * wide + ["inks-converted"]
    found = levels(picture)
    assert np.abs(found[..., :3] - light(values)).max() <= (3 if "assocalpha" in extras else 1.5)
    assert np.abs(found[..., 3] - 255 * values[..., place]).max() <= 0.6


@pytest.mark.slow
@in_every_layout
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@together("extras", [(), (0,), (0, 0), (0, 0, 0)])
def test_inks_stay_inks(
    tmp_path: Path, options: dict[str, Any], dtype: str, extras: tuple[int, ...]
) -> None:
    values = fractions(4 + len(extras))
    more = {"extrasamples": list(extras)} if extras else {}
    data = tiff(numbers(values, dtype), photometric="separated", **more, **options)
    picture = read(tmp_path, data)
    assert picture.mode == "CMYK"
    assert np.abs(levels(picture) - 255 * values[..., :4]).max() <= 0.8


@pytest.mark.external("imagemagick")
@pytest.mark.parametrize("alpha", ["unassalpha", "assocalpha"])
def test_inks_with_alpha_are_as_imagemagick_shows_them(tmp_path: Path, alpha: str) -> None:
    values = fractions(5)
    values[..., 4] = 0.5 + values[..., 4] / 2
    if alpha == "assocalpha":
        values[..., :4] *= values[..., 4:]
    path = tmp_path / "inks.tif"
    path.write_bytes(tiff(numbers(values, "uint8"), photometric="separated", extrasamples=[alpha]))
    seen = of_imagemagick(path, "-colorspace", "sRGB", "-depth", "8")
    found = array_of(read(tmp_path, path.read_bytes()))
    assert np.abs(found.astype(int) - seen).max() <= 3


def test_profile_of_inks_with_alpha_is_applied(tmp_path: Path) -> None:
    """Against LittleCMS on the same inks without alpha."""
    icc = ink_profile()
    values = fractions(5)
    options = {"photometric": "separated", "extratags": [(0x8773, 7, len(icc), icc, True)]}
    data = tiff(numbers(values, "uint8"), extrasamples=["unassalpha"], **options)
    inks = Image.fromarray(numbers(values[..., :4], "uint8"), "CMYK")
    expected = colour.to_srgb(Picture.of(inks, icc=icc)).image
    picture = read(tmp_path, data)
    assert [notice.kind for notice in picture.notices] == ["inks-converted"]
    np.testing.assert_array_equal(array_of(picture)[..., :3], np.asarray(expected))
    assert np.abs(np.asarray(expected) - light(values)).max() > 20


def ink_profile() -> bytes:
    """A profile whose only table turns all inks into the same green."""
    grid = 2
    table = struct.pack(">3H", 0x8000, 0x4000, 0xA000) * grid**4
    matrix = struct.pack(">9i", *(65_536 if at % 4 == 0 else 0 for at in range(9)))
    lut = b"mft2" + bytes(4) + bytes((4, 3, grid, 0)) + matrix + struct.pack(">2H", 2, 2)
    lut += struct.pack(">2H", 0, 65_535) * 4 + table + struct.pack(">2H", 0, 65_535) * 3
    plain = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()[:128])
    plain[12:24] = b"prtrCMYKLab "
    head = struct.pack(">I4sII", 1, b"A2B0", 144, len(lut))
    plain[:4] = struct.pack(">I", 144 + len(lut))
    return bytes(plain) + head + lut


# Lab


def as_srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """From L*, a* and b* under D50 to levels: ICC.1 annex A, Bradford, IEC 61966-2-1."""
    y = (lab[..., 0] + 16) / 116
    roots = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    tristimuli = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29))
    xyz = tristimuli * np.array([0.9642, 1, 0.8249])
    columns = [
        [0.43607, 0.38515, 0.14307],
        [0.22249, 0.71687, 0.06061],
        [0.01392, 0.09708, 0.71410],
    ]
    linear = np.clip(xyz @ np.linalg.inv(np.array(columns)).T, 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    levels: NDArray[np.float64] = 255 * curved
    return levels


def lab() -> NDArray[np.float64]:
    """Colours inside sRGB."""
    ramps = fractions(3)
    return np.stack([40 + 40 * ramps[..., 0], 24 * ramps[..., 1] - 12, 24 * ramps[..., 2] - 12], -1)


def stored_lab(kind: str, bits: int) -> NDArray[Any]:
    """TIFF 6.0, section 23; ICC.1, tables 12 and 13; RFC 2301, 6.2.3."""
    exact, top, unit = lab(), 2**bits - 1, 2 ** (bits - 8)
    lightness, colours = exact[..., :1], exact[..., 1:]
    if kind == "cielab":
        stored = np.concatenate([lightness * top / 100, (colours * unit) % 2**bits], 2)
    elif kind == "icclab":
        white = 255 if bits == 8 else 0xFF00
        stored = np.concatenate([lightness * white / 100, (colours + 128) * unit], 2)
    else:
        low = np.array([0, -21_760 / 255, -19_200 / 255])
        high = np.array([100, 21_590 / 255, 31_800 / 255])
        stored = (exact - low) / (high - low) * top
    numbers: NDArray[Any] = np.rint(stored) % 2**bits
    return numbers.astype(f"uint{bits}")


@pytest.mark.slow
@in_every_layout
@pytest.mark.parametrize("bits", [8, 16])
@together("kind", ["cielab", "icclab", "itulab"])
@pytest.mark.parametrize("alpha", [False, True])
def test_lab_is_read_as_srgb(
    tmp_path: Path, options: dict[str, Any], bits: int, kind: str, alpha: bool
) -> None:
    stored = stored_lab(kind, bits)
    more: dict[str, Any] = {}
    if alpha:
        stored = np.concatenate([stored, numbers(fractions(1), f"uint{bits}")], axis=2)
        more["extrasamples"] = ["unassalpha"]
    picture = read(tmp_path, tiff(stored, photometric=kind, **more, **options))
    assert (picture.notices, picture.icc) == ((), None)
    assert picture.mode == ("RGBA" if alpha else "RGB") + ("" if bits == 8 else ";16")
    found = levels(picture)
    # A step of Lab in 8 bits is up to three levels.
    assert np.abs(found[..., :3] - as_srgb(lab())).max() <= (3 if bits == 8 else 0.2)
    if alpha:
        assert np.abs(found[..., 3:] - 255 * fractions(1)).max() <= (0.5 if bits == 8 else 0.01)


def test_decode_tag_says_how_itu_lab_is_stored(tmp_path: Path) -> None:
    low, high = np.array([10, -60, -50]), np.array([90, 40, 70])
    stored = np.rint((lab() - low) / (high - low) * 65_535).astype(np.uint16)
    ranges = [
        part for pair in zip(low, high, strict=True) for part in (int(pair[0]), 1, int(pair[1]), 1)
    ]
    tags = [(0x01B1, 10, 6, ranges, True)]
    found = levels(read(tmp_path, tiff(stored, photometric="itulab", extratags=tags)))
    assert np.abs(found - as_srgb(lab())).max() <= 0.2


# Planes, and further channels


CHANNELS: Final = {"L": 1, "RGB": 3}


@pytest.mark.slow
@in_every_layout
@pytest.mark.parametrize("mode", CHANNELS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@together("extras", [(0,), (0, 0), (1,), (2,), (2, 0), (0, 2), (0, 0, 0, 2)])
def test_channels_beside_colours_are_told_apart(
    tmp_path: Path, options: dict[str, Any], mode: str, dtype: str, extras: tuple[int, ...]
) -> None:
    count = CHANNELS[mode]
    values = fractions(count + len(extras))
    place = next((count + at for at, one in enumerate(extras) if one), None)
    expected = values[..., :count]
    if place is not None:
        values[..., place] = 0.5 + values[..., place] / 2
        expected = np.concatenate([expected, values[..., place : place + 1]], axis=2)
    stored = values.copy()
    if extras == (1,):
        stored[..., :count] *= values[..., count:]
    photometric = "rgb" if count == 3 else "minisblack"
    data = tiff(
        numbers(stored, dtype), photometric=photometric, extrasamples=list(extras), **options
    )
    picture = read(tmp_path, data)
    assert picture.notices == ()
    found = levels(picture)
    assert found.shape == expected.shape
    assert np.abs(found - 255 * expected).max() <= (2.1 if extras == (1,) else 0.6)


def test_other_inks_are_not_taken_for_four(tmp_path: Path) -> None:
    """Six inks, none of which is said to be an extra sample."""
    data = tiff(numbers(fractions(6), "uint8"), photometric="separated", extrasamples=[0, 0])
    data = data.replace(struct.pack("<HHI", 0x0152, 3, 2), struct.pack("<HHI", 0xFDE8, 3, 2))
    with pytest.raises(PictureError, match="cannot be read: another program"):
        read(tmp_path, data)


def test_what_needs_the_extra_says_so(tmp_path: Path, no_extra: None) -> None:
    planes = tiff(numbers(fractions(2), "uint8"), planarconfig="separate", compression="lzw")
    for data in (planes, tiff(stored_lab("cielab", 16), photometric="cielab")):
        with pytest.raises(PictureError, match=r"imgbatch\[deep\]") as caught:
            read(tmp_path, data)
        assert caught.value.failure.kind == "no-codec"


def test_missing_strips_are_told(tmp_path: Path) -> None:
    data = tiff(numbers(fractions(5), "uint8"), photometric="separated", extrasamples=[2])
    with pytest.raises(PictureError) as caught:
        read(tmp_path, data[:-100])
    assert caught.value.failure.kind == "truncated"


def test_rotated_inks_come_out_upright(tmp_path: Path) -> None:
    values = fractions(5)
    tags = [(0x0112, 3, 1, 6, True)]
    options = {"photometric": "separated", "extrasamples": [2], "extratags": tags}
    found = levels(read(tmp_path, tiff(numbers(values, "uint8"), **options)))
    upright = np.rot90(np.concatenate([light(values), 255 * values[..., 4:]], axis=2), -1)
    assert np.abs(found - upright).max() <= 1.5


# Big-endian BigTIFF


@pytest.mark.external("imagemagick")
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "I;16"])
def test_big_endian_bigtiff_is_as_imagemagick_shows_it(
    tmp_path: Path, mode: str, compression: str | None
) -> None:
    channels = {"RGB": 3, "CMYK": 4}.get(mode, 1)
    stored = numbers(np.squeeze(fractions(channels)), "uint16" if mode == "I;16" else "uint8")
    words = {3: "rgb", 4: "separated", 1: "minisblack"}
    options: dict[str, Any] = {"photometric": words[channels], "compression": compression}
    if channels == 4:
        options["extrasamples"] = None
    path = tmp_path / "big.tif"
    path.write_bytes(tiff(stored, byteorder=">", bigtiff=True, **options))
    picture = read(tmp_path, path.read_bytes())
    np.testing.assert_array_equal(array_of(picture), stored)
    assert (picture.mode, picture.notices) == (mode, ())
    if channels != 4:
        seen = of_imagemagick(path, "-depth", "16" if mode == "I;16" else "8")
        np.testing.assert_array_equal(np.squeeze(seen), stored)


def test_every_page_of_a_big_endian_bigtiff_is_read(tmp_path: Path) -> None:
    stored = [numbers(fractions(3) / part, "uint8") for part in (1, 2, 3)]
    file = BytesIO()
    with tifffile.TiffWriter(file, bigtiff=True, byteorder=">") as writer:
        for page in stored:
            writer.write(page, photometric="rgb", metadata=None, compression="zlib", datetime=True)
    path = tmp_path / "pages.tif"
    path.write_bytes(file.getvalue())
    rules = Rules(every=lambda name, series: True)
    found = list(pictures(str(path), lambda size: size, rules))
    assert [picture.notices for picture in found] == [()] * 3
    for picture, page in itertools.zip_longest(found, stored):
        np.testing.assert_array_equal(array_of(picture), page)
        assert picture.metadata.exif is not None
        assert picture.metadata.exif.text(0x0132)


def shared(count: int) -> bytes:
    """A big-endian BigTIFF of as many pages, all with the same pixels."""
    entries = [
        *((256, 4, 1, 1024), (257, 4, 1, 1024), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)),
        *((273, 16, 1, 16), (277, 3, 1, 1), (278, 4, 1, 1024), (279, 16, 1, 1 << 20)),
    ]
    forms = {3: ">HHQH6x", 4: ">HHQI4x", 16: ">HHQQ"}
    fields = b"".join(struct.pack(forms[one[1]], *one) for one in entries)
    length, first = 16 + len(fields), 16 + (1 << 20)
    links = [first + length * number for number in range(1, count)] + [0]
    head = struct.pack(">2sHHHQ", b"MM", 43, 8, 0, first) + bytes(range(256)) * 4096
    count_of_fields = struct.pack(">Q", len(entries))
    return head + b"".join(count_of_fields + fields + struct.pack(">Q", link) for link in links)


@pytest.mark.parametrize("count", [1, 200])
def test_big_endian_bigtiff_takes_no_memory_before_it_is_admitted(
    tmp_path: Path, count: int
) -> None:
    """And little afterwards, besides the pixels of one page."""
    path = tmp_path / "pages.tif"
    path.write_bytes(shared(count))
    peaks = []

    def admit(demand: object) -> None:
        peaks.append(tracemalloc.get_traced_memory()[1])

    tracemalloc.start()
    try:
        (picture,) = pictures(str(path), lambda size: size, admit=admit)
        peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(array_of(picture).ravel(), [*range(256)] * 4096)
    assert max(peaks) < 1 << 20


def test_overlap_of_pages_of_a_big_endian_bigtiff_is_told(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    path.write_bytes(shared(200))
    rules = Rules(every=lambda name, series: True)
    with pytest.raises(PictureError, match="its pages overlap") as caught:
        list(pictures(str(path), lambda size: size, rules))
    assert caught.value.failure.kind == "broken"


def test_what_is_wrong_with_a_big_endian_bigtiff_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PictureError, match="a directory that is cut short"):
        read(tmp_path, shared(1)[:-100])
    monkeypatch.setattr(directories, "MAX_BYTES", 1 << 20)
    with pytest.raises(PictureError, match="longer than the 4 GiB"):
        read(tmp_path, shared(1))


@pytest.mark.parametrize("compression", [None, "packbits"])
def test_missing_end_of_a_big_endian_bigtiff_is_told(
    tmp_path: Path, compression: str | None
) -> None:
    """Nothing else is taken for it."""
    stored = numbers(fractions(3), "uint8")
    options: dict[str, Any] = {"photometric": "rgb", "rowsperstrip": 7, "compression": compression}
    data = tiff(stored, byteorder=">", bigtiff=True, **options)[:-40]
    with pytest.raises(PictureError) as caught:
        read(tmp_path, data)
    assert caught.value.failure.kind in ("broken", "truncated")
    if compression is None:
        assert caught.value.failure.kind == "truncated"
        found = array_of(decoded(tmp_path, data, ".tif", salvage=True))
        np.testing.assert_array_equal(found[:14], stored[:14])


def test_bigtiff_without_a_page_is_told(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="it has no page"):
        read(tmp_path, struct.pack(">2sHHHQ", b"MM", 43, 8, 0, 0))


def of_imagemagick(path: Path, *options: str) -> NDArray[Any]:
    """The levels that it finds in a file."""
    seen = path.with_suffix(".seen.png")
    command = [programs.path_of("imagemagick"), str(path), *options, str(seen)]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(seen) as image:
        return np.asarray(image)
